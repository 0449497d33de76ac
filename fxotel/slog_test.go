package fxotel_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"example.com/fx"
)

// What the main README says of logging without any library.
func TestHooksLogInThreeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logs(t)

		retry := fx.Retry{OnRetry: func(ctx context.Context, a fx.Attempt) { slog.WarnContext(ctx, "retry", "after", a.N, "err", a.Err) }}
		hedge := &fx.Hedge{OnHedge: func(ctx context.Context, n int) { slog.InfoContext(ctx, "hedge", "copy", n) }}
		users := &fx.Breaker{OnChange: func(c fx.Change) { slog.Warn("breaker", "name", c.Name, "to", c.To.String(), "err", c.Cause) }}

		retry.Backoff, hedge.After, users.Name, users.Failures = fx.Constant(time.Second), time.Second, "users", 1
		_, _ = fx.WithRetry(turns(fx.Fail[int](errBoom), fx.Value(1)), retry)(t.Context())
		_, _ = fx.WithHedge(turns(hang, fx.Value(1)), hedge)(t.Context())
		_, _ = fx.WithBreaker(fx.Fail[int](errBoom), users)(t.Context())
		synctest.Wait()
		golden(t, `
{"level":"WARN","msg":"retry","after":1,"err":"boom"}
{"level":"INFO","msg":"hedge","copy":1}
{"level":"WARN","msg":"breaker","name":"users","to":"open","err":"boom"}
`, log.String())
	})
}

// logs is what slog writes until the test ends, without times.
func logs(t *testing.T) *bytes.Buffer {
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	return &log
}
