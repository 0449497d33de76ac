// Order plays the saga of a shop's order: reserve, charge, ship, notify. Its flags choose what goes wrong, and it shows
// what is taken back, under which idempotency keys, and what can be relied upon afterwards.
//
//	go run ./examples/order
//	go run ./examples/order -hang charge
//	go run ./examples/order -fail ship -mermaid
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"example.com/fx"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitPlaced    = 0
	exitNotPlaced = 1
	exitUsage     = 2
)

func run(args []string, out, errs io.Writer) int {
	set, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return exitPlaced
	}
	if err != nil {
		fmt.Fprintf(errs, "order: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it the hard way
	return play(ctx, set, out)
}

// play places one order. ctx is the shopper's: when it ends the order is given up, but not the undos.
func play(ctx context.Context, set settings, out io.Writer) int {
	ctx, leave := context.WithCancelCause(fx.WithSagaID(ctx, set.id))
	defer leave(nil)
	seen := &journal{scribe: newScribe(set, out)}
	shop := newShop(set, seen.note, func() { leave(errLeft) })
	wish := order{ID: set.id, Item: "a teapot", Cents: 2900}
	seen.scribe.begin(wish)
	bought, err := shop.place(ctx, wish, seen)
	told := judge(bought, err, context.Cause(ctx)).with(shop.books())
	seen.scribe.end(told)
	if told.placed {
		return exitPlaced
	}
	return exitNotPlaced
}

var errLeft = errors.New("the shopper left")
