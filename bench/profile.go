package main

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"regexp"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/google/pprof/profile"
)

// A Hot is a function and its own share of the time, without what it calls, unless that is inlined.
type Hot struct {
	Function string
	Share    float64
}

// profileFull runs the full stack for a while and returns the functions that took the most time.
func profileFull(long time.Duration, p *progress) ([]Hot, error) {
	p.begin("profile of the full stack", 1)
	p.step(long.String())
	var raw bytes.Buffer
	if err := pprof.StartCPUProfile(&raw); err != nil {
		return nil, err
	}
	callFull(long)
	pprof.StopCPUProfile()
	found, err := profile.Parse(&raw)
	if err != nil {
		return nil, err
	}
	return hottest(found), nil
}

func callFull(long time.Duration) {
	ctx, cancel := fullStack().context()
	defer cancel()
	op := fxFull(far)(answer)
	for until := time.Now().Add(long); time.Now().Before(until); {
		callMany(ctx, op)
	}
}

func callMany(ctx context.Context, op operation) { sink.Add(int64(repeat(ctx, op, 100_000))) }

// hottest sums up the samples by the function that they were taken in.
func hottest(p *profile.Profile) (found []Hot) {
	own, all := make(map[string]int64), int64(0)
	for _, s := range p.Sample {
		if len(s.Location) == 0 || len(s.Location[0].Line) == 0 {
			continue
		}
		own[shortened(s.Location[0].Line[0].Function.Name)] += s.Value[1]
		all += s.Value[1]
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		found = append(found, Hot{name, float64(own[name]) / float64(all)})
	}
	slices.SortStableFunc(found, func(a, b Hot) int { return cmp.Compare(b.Share, a.Share) })
	return slices.DeleteFunc(found, func(h Hot) bool { return h.Share < 0.01 })
}

// shortened leaves out of a function's name what the compiler put there, and the path of its package.
func shortened(name string) string {
	name = regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(name, "")
	return regexp.MustCompile(`^.*/`).ReplaceAllString(name, "")
}
