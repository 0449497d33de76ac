package fxredis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/fx"
	"example.com/fx/fxredis"
)

func TestMain(m *testing.M) {
	redis.SetLogger(mute{})
	code := m.Run()
	_ = client.Close()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// mute is a log for what OnErr hears anyway.
type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

type Price struct{ Cents int }

var (
	client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", MaxRetries: -1, ContextTimeoutEnabled: true})
	prices = &fx.Cache[string, Price]{
		Store: &fxredis.Store[string, Price]{Client: client, Prefix: "price:"},
		OnErr: func(ctx context.Context, err error) { fmt.Println("prices:", err) },
	}
)

func shown(live fx.Op[Price], id string) fx.Op[fx.Result[Price]] {
	return fx.WithDegraded(fx.Remember(live, prices, id), prices.Recall(id))
}

// Redis is down, and so is the service: the price of a minute ago is shown from memory, and nobody waits.
func ExampleStore() {
	dead := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer dead.Close()
	prices := &fx.Cache[string, Price]{Store: &fxredis.Store[string, Price]{Client: dead, Prefix: "price:"}}

	_, _ = fx.Remember(fx.Value(Price{700}), prices, "tea")(context.Background())
	down := fx.Fail[Price](errors.New("catalog: connection refused"))
	r, err := fx.WithDegraded(down, prices.Recall("tea"))(context.Background())
	fmt.Println(r.Value, r.Degraded, err)
	_, err = prices.Recall("coffee")(context.Background())
	fmt.Println(errors.Is(err, fx.ErrMiss))
	// Output:
	// {700} true <nil>
	// true
}

func TestReadmeShowsCodeThatWasCompiled(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	code, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")
	require.Len(t, blocks, 2)
	block, _, _ := strings.Cut(blocks[1], "```")
	assert.Contains(t, string(code), block)
	assert.NotNil(t, shown(fx.Value(Price{}), "tea"))
}

// What a round trip costs beside the bare client's.
func BenchmarkRoundTrip(b *testing.B) {
	addr := os.Getenv("REDIS")
	if addr == "" {
		b.Skip("set REDIS to HOST:PORT of a server")
	}
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer c.Close()
	ctx, store := context.Background(), &fxredis.Store[string, Price]{Client: c, Prefix: "price:"}
	require.NoError(b, store.Set(ctx, "tea", Price{700}, time.Hour))
	b.Run("get, bare", func(b *testing.B) {
		for b.Loop() {
			_ = c.Get(ctx, "price:tea").Err()
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			_, _, _ = store.Get(ctx, "tea")
		}
	})
	b.Run("set, bare", func(b *testing.B) {
		for b.Loop() {
			_ = c.Set(ctx, "price:bare", "{}", time.Hour).Err()
		}
	})
	b.Run("set", func(b *testing.B) {
		for b.Loop() {
			_ = store.Set(ctx, "tea", Price{700}, time.Hour)
		}
	})
}
