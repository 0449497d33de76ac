package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"example.com/fx"
	"example.com/fx/fxhealth"
	"example.com/fx/fxprom"
	"example.com/fx/fxredis"
)

// profiles is one instance of the profile-service: a page a user, whatever becomes of the user-service.
type profiles struct {
	users   string // the URL of the user-service
	client  *http.Client
	breaker fx.Breaker
	spare   fx.Budget
	cache   fx.Cache[string, user]
	metrics fxprom.Metrics
	health  fxhealth.Health
}

func newProfiles(users string, store *redis.Client) *profiles {
	p := &profiles{
		users:   users,
		client:  &http.Client{Transport: &http.Transport{}},
		breaker: fx.Breaker{Name: "users", Failures: 6, Cooldown: time.Second, MaxCooldown: 4 * time.Second},
		cache:   fx.Cache[string, user]{Store: &fxredis.Store[string, user]{Client: store, Prefix: "user:"}},
	}
	p.health.Checks = []fxhealth.Check{{Breaker: &p.breaker}}
	p.metrics.Breakers(&p.breaker)
	p.metrics.Budget("users", &p.spare)
	p.metrics.Cache("users", &p.cache)
	return p
}

// nobody is who is shown when there is nothing else.
var nobody = user{Name: "a customer of ours"}

// find is the user live, else as remembered by this instance or by the fleet, else nobody.
func (p *profiles) find(ctx context.Context, id string) (fx.Result[user], error) {
	op := fx.WithTimeout(fx.Bind(p.ask, id), 150*time.Millisecond)
	op = fxprom.Observe(op, "users/attempt", &p.metrics)
	op = fx.WithBreaker(op, &p.breaker)
	op = fx.WithRetry(op, fx.Retry{Attempts: 2, Backoff: fx.Exponential(20 * time.Millisecond).Jitter(1), Budget: &p.spare})
	op = fx.WithTimeout(op, 400*time.Millisecond)
	op = fx.Remember(op, &p.cache, id)
	shown := fx.WithDegraded(op, p.cache.Recall(id), fx.Value(nobody))
	return fxprom.Observe(shown, "users", &p.metrics)(ctx)
}

// ask asks the user-service. That it does not know the user is an answer: a user without a name.
func (p *profiles) ask(ctx context.Context, id string) (u user, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.users+"/users/"+id, nil)
	if err != nil {
		return u, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		err = json.NewDecoder(resp.Body).Decode(&u)
	case http.StatusNotFound:
		u.ID = id
	default:
		err = fmt.Errorf("users: %s", resp.Status)
	}
	return u, err
}

// handler serves the pages, the metrics and the probes.
func (p *profiles) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&p.metrics)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profiles/{id}", p.page)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	p.health.Register(mux)
	return mux
}

func (p *profiles) page(w http.ResponseWriter, r *http.Request) {
	shown, err := p.find(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		http.Error(w, "the caller has left", http.StatusServiceUnavailable)
	case shown.Value.Name == "":
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, title(shown.Value))
		fmt.Fprint(w, banner(shown))
	}
}

func title(u user) string {
	if u.Since == 0 {
		return u.Name
	}
	return fmt.Sprintf("%s, with us since %d", u.Name, u.Since)
}

// banner tells the reader that the page is not what it should be. It is empty if it is.
func banner(shown fx.Result[user]) string {
	switch {
	case !shown.Degraded:
		return ""
	case shown.Value == nobody:
		return "! We cannot show this profile at the moment. Please come back soon.\n"
	}
	return fmt.Sprintf("! This profile is %s old: its service does not answer.\n", shown.Age.Round(100*time.Millisecond))
}

func (p *profiles) close() { p.client.CloseIdleConnections() }
