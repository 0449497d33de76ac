// Command profile plays a user-service that hangs, and a profile-service in front of it that goes on: live, then with
// what the fleet remembers in Redis, then with a stand-in, and live again by itself. All servers are real, on
// 127.0.0.1; it starts a Redis of its own.
//
//	go run ./examples/profile
//
// It ends with status 1 unless every page was shown as it should be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the story is on stdout
	redis.SetLogger(mute{})
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "profile:", err)
		stop()
		os.Exit(1)
	}
}

// mute is a log for what the cache's OnErr would hear anyway.
type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("profile", flag.ContinueOnError)
	store := flags.String("redis", "", "`HOST:PORT` of a Redis that runs already; it is neither killed nor emptied")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("no arguments are needed, but there is %q", flags.Arg(0))
	}
	s, err := newStory(ctx, out, *store)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx); err != nil {
		return err
	}
	return s.verdict()
}

// verdict prints what came of it, and says what was not as it should be.
func (s *story) verdict() error {
	fmt.Fprintf(s.out, "\n%-10s %6s %11s %9s %7s\n", "", live, remembered, standIn, failed)
	wrong := 0
	for _, p := range s.pods {
		n := map[look]int{}
		for _, v := range s.views {
			if v.pod == p {
				n[v.look]++
			}
		}
		wrong += n[failed]
		fmt.Fprintf(s.out, "%-10s %6d %11d %9d %7d\n", p.name, n[live], n[remembered], n[standIn], n[failed])
	}
	fmt.Fprintf(s.out, "\n%d calls reached the user-service for %d pages; the longest wait was %v.\n", s.users.calls.Load(), len(s.views), s.slowest().Round(time.Millisecond))
	fmt.Fprintln(s.out, "Alerts that would fire, were the outage to last (fxprom/rules.yml):")
	for _, a := range s.alerts {
		fmt.Fprintln(s.out, "  "+a)
	}
	if wrong > 0 {
		return fmt.Errorf("%d pages were not as they should be", wrong)
	}
	return nil
}
