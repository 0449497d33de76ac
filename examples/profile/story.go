package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// A story is the play and what was seen of it.
type story struct {
	out    io.Writer
	start  time.Time
	client *http.Client
	users  *users
	server *http.Server // of users
	at     string       // its URL
	redis  *redisServer // nil if it is somebody else's
	store  string       // its address
	pods   []*pod
	views  []view
	shown  map[string]look // the latest of each pod and user
	alerts []string
}

// newStory starts the user-service and, unless there is one, a Redis.
func newStory(ctx context.Context, out io.Writer, store string) (*story, error) {
	s := &story{out: out, start: time.Now(), client: &http.Client{Transport: &http.Transport{}}, users: &users{}, store: store, shown: map[string]look{}}
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", s.users)
	var err error
	if s.server, s.at, err = serve(mux); err != nil {
		return nil, err
	}
	if store == "" {
		if s.redis, err = startRedis(ctx); err != nil {
			s.close()
			return nil, err
		}
		s.store = s.redis.addr
	}
	return s, nil
}

func (s *story) close() {
	for _, p := range s.pods {
		p.stop()
	}
	_ = s.server.Close()
	s.redis.kill()
	s.client.CloseIdleConnections()
}

// play tells the story, and checks on the way that it is true.
func (s *story) play(ctx context.Context) error {
	for _, part := range []func(context.Context) error{s.healthy, s.outage, s.newcomer, s.withoutRedis, s.recovery} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *story) healthy(ctx context.Context) error {
	s.say("Two pods of the profile-service start. The user-service answers.")
	one, err := s.begin("profile-1")
	if err != nil {
		return err
	}
	two, err := s.begin("profile-2")
	if err != nil {
		return err
	}
	for range 10 {
		s.expect(ctx, one, "ann", live)
		s.expect(ctx, two, "bob", live)
	}
	s.probes(ctx, one)
	return s.written(ctx, 2)
}

// written waits until the store has n profiles: they are written behind the answers.
func (s *story) written(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: s.store})
	defer client.Close()
	for {
		if size, err := client.DBSize(ctx).Result(); err != nil || size >= n {
			return err
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("no profiles in Redis after ten seconds: %w", ctx.Err())
		}
	}
}

func (s *story) outage(ctx context.Context) error {
	s.users.ill.Store(true)
	s.say("The user-service hangs: it takes calls and never answers.")
	one := s.pods[0]
	before := s.scrape(ctx, one)
	for range 20 {
		s.expect(ctx, one, "ann", remembered)
		pause(ctx, 50*time.Millisecond)
	}
	s.expect(ctx, one, "cem", standIn) // nobody has ever asked for Cem
	s.probes(ctx, one)
	s.alerts = firing(before, s.scrape(ctx, one))
	return nil
}

func (s *story) newcomer(ctx context.Context) error {
	s.say("A third pod starts in the middle of it, with an empty memory. Redis knows what the others have seen.")
	three, err := s.begin("profile-3")
	if err != nil {
		return err
	}
	for _, id := range []string{"ann", "bob", "ann"} {
		s.expect(ctx, three, id, remembered)
	}
	return nil
}

func (s *story) withoutRedis(ctx context.Context) error {
	if s.redis == nil {
		return nil
	}
	s.redis.kill()
	s.say("Redis is killed too, and a fourth pod starts. There is nothing left to show; nobody waits for that.")
	four, err := s.begin("profile-4")
	if err != nil {
		return err
	}
	for range 5 {
		s.expect(ctx, four, "ann", standIn)
	}
	s.expect(ctx, s.pods[0], "ann", remembered) // from its own memory
	return nil
}

func (s *story) recovery(ctx context.Context) error {
	s.users.ill.Store(false)
	s.say("The user-service answers again. Nobody tells the pods.")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, p := range s.pods {
		for s.visit(ctx, p, "ann").look != live && pause(ctx, 100*time.Millisecond) {
		}
		s.expect(ctx, p, "ann", live)
	}
	s.probes(ctx, s.pods[0])
	return nil
}

// begin starts one more pod.
func (s *story) begin(name string) (*pod, error) {
	p, err := startPod(name, s.at, s.store)
	if err == nil {
		s.pods = append(s.pods, p)
	}
	return p, err
}

// visit looks at a page, and prints it if its look is new.
func (s *story) visit(ctx context.Context, p *pod, id string) view {
	v := visit(ctx, s.client, p, id)
	s.views = append(s.views, v)
	if key := p.name + " " + id; s.shown[key] != v.look {
		s.shown[key] = v.look
		fmt.Fprintf(s.out, "%7.1f s  %-10s %-11s %s\n", time.Since(s.start).Seconds(), p.name, v.look, v.text)
	}
	return v
}

// expect looks at a page that has to look so. What does not is counted as failed.
func (s *story) expect(ctx context.Context, p *pod, id string, want look) {
	if v := s.visit(ctx, p, id); v.look != want {
		last := &s.views[len(s.views)-1]
		last.look, last.text = failed, fmt.Sprintf("it should be %s: %s", want, v.text)
		fmt.Fprintf(s.out, "%7.1f s  %-10s %-11s %s\n", time.Since(s.start).Seconds(), p.name, last.look, last.text)
	}
}

func (s *story) say(text string) { fmt.Fprintf(s.out, "\n%s\n", text) }

func (s *story) probes(ctx context.Context, p *pod) {
	fmt.Fprintf(s.out, "%7.1f s  %-10s probes      %s\n", time.Since(s.start).Seconds(), p.name, probe(ctx, s.client, p))
}

// pause says whether it slept so long.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
