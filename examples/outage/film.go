package main

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A film is the run so far, for those who draw it.
type film struct {
	settings       settings
	story          story
	plain, guarded reel
	changes        []change
}

// A reel is one sample each tenth of a second.
type reel []sample

// add takes the next sample of a lane. What comes after the story has ended is not shown.
func (f *film) add(s sample) {
	if tenths(s.Tenth) > f.story.ends() {
		return
	}
	if s.Lane == plainLane {
		f.plain = append(f.plain, s)
		return
	}
	f.guarded = append(f.guarded, s)
	f.changes = append(f.changes, news(f.changes, s.Changes)...)
}

// news is what of the latest changes is not yet among the known ones: samples tell each change for a whole second.
func news(known, latest []change) []change {
	if len(known) == 0 {
		return latest
	}
	last := known[len(known)-1].At
	return filter(latest, func(c change) bool { return c.At > last })
}

// now is how far the story is.
func (f *film) now() time.Duration { return tenths(max(len(f.plain), len(f.guarded))) }

// at is the sample of the moment, or the last one before it.
func (r reel) at(moment time.Duration) sample {
	n := min(int(moment*perSecond/time.Second), len(r))
	if n < 1 {
		return sample{}
	}
	return r[n-1]
}

func (r reel) last() sample { return r.at(time.Duration(len(r)) * time.Second) }

// peak is the most there was of something.
func (r reel) peak(of func(sample) float64) (top float64) {
	for _, s := range r {
		top = max(top, of(s))
	}
	return top
}

// The breaker's states, as fx names them.
const (
	closed   = "closed"
	open     = "open"
	halfOpen = "half-open"
)

// A span is how long the breaker was in a state.
type span struct {
	state    string
	from, to time.Duration
}

// spans are the states of the breaker, to the end of the story: the last one lasts until another is known.
func (f *film) spans() (all []span) {
	now := span{state: closed, to: f.story.ends()}
	for _, c := range f.changes {
		if c.At >= now.to {
			break
		}
		all = append(all, span{now.state, now.from, c.At})
		now.state, now.from = c.To, c.At
	}
	return append(all, now)
}

// breaker is the breaker's state in a part of the story. Where there were several the rarest is told: a probe is
// short.
func (f *film) breaker(from, to time.Duration) string {
	byRarity, rarest := []string{closed, open, halfOpen}, 0
	for _, s := range f.spans() {
		if s.from < to && s.to > from {
			rarest = max(rarest, slices.Index(byRarity, s.state))
		}
	}
	return byRarity[rarest]
}

// first finds when the breaker first took a state after a moment.
func (f *film) first(state string, after time.Duration) (time.Duration, bool) {
	for _, s := range f.spans() {
		if s.state == state && s.from >= after {
			return s.from, true
		}
	}
	return 0, false
}

// An event is something that happened in the story.
type event struct {
	at   time.Duration
	what string
	ink  ink
}

// events are those that have happened, in order.
func (f *film) events() (all []event) {
	for _, p := range f.story.phases() {
		if p.from <= f.now() {
			all = append(all, event{p.from, p.told, p.ink})
		}
	}
	for _, c := range f.changes {
		all = append(all, event{c.At, tellStates(c), stateInk(c.To)})
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return all
}

// tellStates says what the breaker became, and why.
func tellStates(c change) string {
	why := strings.TrimPrefix(c.Cause, "fx: ")
	switch {
	case c.To == halfOpen:
		return "breaker half-open: the cooldown is over, a probe may try"
	case c.To == closed:
		return "breaker closed: the probes succeeded"
	case c.From == halfOpen:
		return "breaker open again: " + why
	}
	return "breaker open: " + why
}

// A chapter is one phase of the story.
type chapter struct {
	name     string
	catalog  string // how it does
	told     string
	from, to time.Duration
	ink      ink
}

func (s story) phases() []chapter {
	return []chapter{
		{"healthy", "well", "the shop opens, and all is well", 0, s.dies(), goodInk},
		{"catalog dead", "dead", "the catalog dies: it accepts connections and never answers", s.dies(), s.recovers(), badInk},
		{"slow", "slow", "the catalog is back, and slow", s.recovers(), s.recovers() + s.Slow, warnInk},
		{"well again", "well", "the catalog is well again", s.recovers() + s.Slow, s.ends(), goodInk},
	}
}

// chapter finds the one of a moment.
func (s story) chapter(at time.Duration) chapter {
	all := s.phases()
	for _, c := range all {
		if at < c.to {
			return c
		}
	}
	return all[len(all)-1]
}
