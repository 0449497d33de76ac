package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"example.com/fx"
)

// The lanes, each a process of its own: the one that collapses must take nothing from the other.
const (
	plainLane   = "plain"
	guardedLane = "guarded"
)

// A report is one line of what a lane says to its parent: that it is ready, then its samples, then its figures.
type report struct {
	Ready   bool     `json:"ready,omitempty"`
	Sample  *sample  `json:"sample,omitempty"`
	Figures *figures `json:"figures,omitempty"`
}

// goOn is what the parent says when both lanes are ready. When it says no more, by closing the pipe or by dying, the
// lanes end.
const goOn = "go\n"

// playLane plays the story in one lane.
func playLane(ctx context.Context, set settings, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	say := json.NewEncoder(out).Encode
	l := newLane(set)
	begin := obey(in, cancel, l.heed)
	if err := say(report{Ready: true}); err != nil {
		return err
	}
	select {
	case <-begin:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.record.start = time.Now().Add(l.story.Pulse) // a moment from now: the shop opens first
	shop, err := openShop(l.plan)
	if err != nil {
		return err
	}
	defer shop.close()
	defer l.transport.CloseIdleConnections()
	return l.play(ctx, shop, say)
}

// obey closes begin when the parent says so, tells heed of what it says then, and calls stop when it says no more.
func obey(in io.Reader, stop func(), heed func(line string)) (begin <-chan struct{}) {
	told := make(chan struct{})
	go func() {
		defer stop()
		from := bufio.NewReader(in)
		if line, _ := from.ReadString('\n'); line != goOn {
			return
		}
		close(told)
		for {
			line, err := from.ReadString('\n')
			if err != nil {
				return
			}
			heed(strings.TrimSuffix(line, "\n"))
		}
	}()
	return told
}

// A lane is the shop, its shoppers, and what is measured of them.
type lane struct {
	settings
	story     story
	plan      plan
	record    *record
	transport *http.Transport
	ill       illness      // of the catalog, in a lane that plays on and on
	breaker   *fx.Breaker  // the one before the catalog; nil in the plain lane
	seats     *fx.Bulkhead // likewise
}

func newLane(set settings) *lane {
	s := set.story()
	l := &lane{settings: set, story: s, transport: newTransport(set.rate)}
	l.record = &record{}
	l.plan = plan{
		story:   s,
		seed:    set.seed,
		client:  &http.Client{Transport: l.transport},
		catalog: l.catalog(),
		link:    plain,
	}
	if set.lane == guardedLane {
		l.guard()
	} else {
		l.plan.client.Timeout = s.Naive
	}
	return l
}

func (l *lane) guard() {
	by := newGuards(l.story)
	by.catalog.breaker.OnChange = l.record.changed
	l.breaker, l.seats = &by.catalog.breaker, &by.catalog.seats
	l.plan.link = func(bare links) links {
		links := guardAll(bare, by)
		links.look = l.aged(links.look)
		return links
	}
}

// aged notes how old the prices are that are not of today.
func (l *lane) aged(look lookup) lookup {
	return func(ctx context.Context, p product) (quote, error) {
		q, err := look(ctx, p)
		if q.Stale {
			l.record.aged(time.Since(q.AsOf))
		}
		return q, err
	}
}

func (l *lane) catalog() http.Handler {
	c := &catalog{
		worker:  worker{base: l.story.Catalog, seed: l.seed + 2},
		mood:    func() (bool, time.Duration) { return l.story.mood(l.record.now()) },
		arrived: l.record.called,
	}
	if l.serve {
		c.mood = l.ill.mood
		return &ward{catalog: c, ill: &l.ill}
	}
	return answer(productOf, c.look)
}

// heed obeys the parent, which tells what ails the catalog.
func (l *lane) heed(said string) { l.ill.set(ailment(said)) }

// play lets the shoppers in, and reports until all of them have left.
func (l *lane) play(ctx context.Context, s *shop, say func(any) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { l.watch(ctx) })
	watching.Go(func() {
		if l.sample(ctx, say) != nil {
			cancel() // nobody listens any more
		}
	})
	l.shoppers(s).run(ctx, l.record.start, l.lasts())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	cancel()
	watching.Wait()
	f := l.record.figures(l.story)
	f.Lane, f.Reserved = l.lane, int(s.reserved.Load())
	return say(report{Figures: &f})
}

// lasts says for how long shoppers come.
func (l *lane) lasts() time.Duration {
	if l.serve {
		return math.MaxInt64
	}
	return l.story.ends()
}

func (l *lane) shoppers(s *shop) *load {
	shoppers := newLoad(l.rate, l.seed)
	shoppers.patience = l.story.Patience
	shoppers.ended = l.record.ended
	shoppers.place = post[order, receipt](&http.Client{Transport: l.transport}, "storefront", s.at["storefront"])
	return shoppers
}

// watch counts goroutines until ctx ends.
func (l *lane) watch(ctx context.Context) {
	for at := l.record.start; sleepUntil(ctx, at); at = at.Add(l.story.Pulse) {
		l.record.beat(runtime.NumGoroutine())
	}
}

// sample says ten times a second what happened in the last one.
func (l *lane) sample(ctx context.Context, say func(any) error) error {
	news := newWindow(l.record)
	for n := 1; sleepUntil(ctx, l.record.start.Add(tenths(n))); n++ {
		s := news.next()
		s.Lane, s.Tenth, s.Second = l.lane, n, (n+perSecond-1)/perSecond
		s.Phase = l.phase(tenths(n) - 1)
		if l.breaker != nil {
			s.Breaker = l.breaker.State().String()
			s.Running, s.Waiting = l.seats.InUse()
		}
		if err := say(report{Sample: &s}); err != nil {
			return err
		}
		if l.serve {
			news.forget()
		}
	}
	return nil
}

func tenths(n int) time.Duration { return time.Duration(n) * time.Second / perSecond }

// phase names the moment at, or what ails the catalog when there is no story.
func (l *lane) phase(at time.Duration) string {
	if l.serve {
		return string(l.ill.now())
	}
	return l.story.phase(at)
}
