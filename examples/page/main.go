// Page puts a shop's product page together from four real HTTP services, and shows what a shopper sees while one after
// the other falls ill: recommendations become popular items, the price becomes that of a moment ago, and a banner says
// so. Without its details there is no page.
//
//	go run ./examples/page
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/fx"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(args []string, out, errs io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintf(errs, "page: unexpected argument %q: there are no flags; write go run ./examples/page\n", args[0])
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := play(ctx, out); err != nil {
		fmt.Fprintf(errs, "page: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// A scene is one look at the page, after something has changed.
type scene struct {
	title  string
	change func(*shop)
	look   fx.Policy[fx.Result[page]]
}

func scenes() []scene {
	once := fx.Compose[fx.Result[page]]()
	return []scene{
		{"All is well", func(*shop) {}, once},
		{"The recommendations hang", func(s *shop) { s.advice.ill(hangs) }, once},
		{"The next shopper does not wait for them", func(*shop) {}, once},
		{"Now the price hangs, too", func(s *shop) { s.price.ill(hangs) }, once},
		{"All is well again, after some reloading", (*shop).heal, reloaded},
		{"The details fail", func(s *shop) { s.details.ill(fails) }, once},
	}
}

func play(ctx context.Context, out io.Writer) error {
	s, err := openShop()
	if err != nil {
		return err
	}
	defer s.close()
	op := s.page("teapot")
	for _, sc := range scenes() {
		sc.change(s)
		start := time.Now()
		r, err := sc.look(op)(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Fprintln(out, draw(sc.title, time.Since(start), r, err))
	}
	return nil
}

// reloaded is a shopper who wants to see the page whole. While a breaker is open its error says how long it will be,
// and WithRetry waits that long.
func reloaded(op fx.Op[fx.Result[page]]) fx.Op[fx.Result[page]] {
	whole := fx.WithCheck(op, func(r fx.Result[page]) error { return r.Cause })
	return fx.WithRetry(whole, fx.Retry{Attempts: 10, Backoff: fx.Constant(50 * time.Millisecond), If: anyError})
}

func anyError(error) bool { return true }
