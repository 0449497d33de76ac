package fxredis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"example.com/fx"
)

type price struct {
	Product string `json:"product"`
	Cents   int    `json:"cents"`
}

var (
	tea     = price{"tea", 700}
	errBoom = errors.New("boom")
)

func prices(c redis.Cmdable) *Store[string, price] {
	return &Store[string, price]{Client: c, Prefix: "price:"}
}

// written waits until Redis has n keys or more: the cache writes behind its answers.
func written(t *testing.T, c *redis.Client, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return c.DBSize(t.Context()).Val() >= n }, 20*time.Second, 5*time.Millisecond)
}

func TestWhatOneHasSeenAllCanRecall(t *testing.T) {
	s := start(t)
	one := &fx.Cache[string, price]{Store: prices(s.client(t))}
	_, err := fx.Remember(fx.Value(tea), one, "tea")(t.Context())
	require.NoError(t, err)
	written(t, s.client(t), 1)

	another := &fx.Cache[string, price]{Store: prices(s.client(t))}
	r, err := fx.WithDegraded(fx.Fail[price](errBoom), another.Recall("tea"))(t.Context())
	require.NoError(t, err)
	assert.Equal(t, tea, r.Value)
	assert.True(t, r.Degraded)
	assert.Equal(t, errBoom, r.Cause)
	assert.GreaterOrEqual(t, r.Age, time.Duration(0))
	assert.Equal(t, fx.CacheCounts{Entries: 1, Misses: 1, Fetched: 1}, another.Counts())
}

func TestAgeIsThatOfTheValue(t *testing.T) {
	s := start(t)
	c, store := s.client(t), prices(s.client(t))
	store.open()
	payload, err := store.encode(tea)
	require.NoError(t, err)
	for _, old := range []time.Duration{0, time.Hour, -30 * time.Second} { // the last by a clock that is ahead
		require.NoError(t, c.Set(t.Context(), "price:tea", store.pack(payload, time.Now().Add(-old)), 0).Err())
		v, age, err := store.Get(t.Context(), "tea")
		require.NoError(t, err)
		assert.Equal(t, tea, v)
		assert.GreaterOrEqual(t, age, max(old, 0)-time.Millisecond) // the header has milliseconds
		assert.Less(t, age, max(old, 0)+time.Minute)
	}
}

func TestMissingKeyIsAMiss(t *testing.T) {
	_, _, err := prices(start(t).client(t)).Get(t.Context(), "tea")
	assert.ErrorIs(t, err, fx.ErrMiss)
}

// Whatever stands under the key instead of a value: the cache is told, and it is a miss.
func TestWhatIsNotOursIsToldAndAMiss(t *testing.T) {
	s := start(t)
	c, store := s.client(t), prices(s.client(t))
	store.open()
	good := store.pack([]byte(`{"product":"tea","cents":700}`), time.Now())
	changed := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	resealed := func(b []byte) []byte { // with the right sum
		binary.BigEndian.PutUint32(b[atSum:], sum(b))
		return b
	}
	other := &Store[string, struct{ Name string }]{Client: c, Prefix: "price:"}
	next := &Store[string, price]{Client: c, Prefix: "price:", Version: 1}
	other.open()
	next.open()
	for name, bad := range map[string]struct {
		put  func() error
		says string
	}{
		"rubbish":         {func() error { return c.Set(t.Context(), "price:tea", "\x00\xff{rubbish}", 0).Err() }, errForeign.Error()},
		"plain JSON":      {func() error { return c.Set(t.Context(), "price:tea", `{"product":"tea","cents":700}`, 0).Err() }, errForeign.Error()},
		"a newer layout":  {func() error { return c.Set(t.Context(), "price:tea", resealed(changed(2, layout+1)), 0).Err() }, errForeign.Error()},
		"cut off":         {func() error { return c.Set(t.Context(), "price:tea", good[:len(good)-1], 0).Err() }, errDamaged.Error()},
		"a header only":   {func() error { return c.Set(t.Context(), "price:tea", good[:headerSize-1], 0).Err() }, errForeign.Error()},
		"one bit":         {func() error { return c.Set(t.Context(), "price:tea", changed(len(good)-2, '1'), 0).Err() }, errDamaged.Error()},
		"its time":        {func() error { return c.Set(t.Context(), "price:tea", changed(atTime+7, good[atTime+7]+1), 0).Err() }, errDamaged.Error()},
		"another type":    {func() error { return other.Set(t.Context(), "tea", struct{ Name string }{"tea"}, time.Hour) }, errShape.Error()},
		"another version": {func() error { return next.Set(t.Context(), "tea", tea, time.Hour) }, errShape.Error()},
		"bad JSON": {func() error {
			return c.Set(t.Context(), "price:tea", store.pack([]byte(`{"cents":"many"}`), time.Now()), 0).Err()
		}, "decode: json:"},
		"the future": {func() error {
			return c.Set(t.Context(), "price:tea", store.pack(nil, time.Now().Add(time.Hour)), 0).Err()
		}, errFuture.Error()},
		"a list": {func() error { return c.LPush(t.Context(), "price:tea", "tea").Err() }, "WRONGTYPE"},
		"two megabytes": {func() error {
			return c.Set(t.Context(), "price:tea", store.pack(make([]byte, 2<<20), time.Now()), 0).Err()
		}, errLarge.Error()},
	} {
		require.NoError(t, c.FlushDB(t.Context()).Err())
		require.NoError(t, bad.put(), name)
		var heard []string
		cache := &fx.Cache[string, price]{Store: store, OnErr: func(_ context.Context, err error) { heard = append(heard, err.Error()) }}
		_, err := cache.Recall("tea")(t.Context())
		assert.ErrorIs(t, err, fx.ErrMiss, name)
		require.Len(t, heard, 1, name)
		assert.Contains(t, heard[0], bad.says, name)
		r, err := fx.WithDegraded(fx.Value(tea), cache.Recall("tea"))(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, fx.Result[price]{Value: tea}, r, name)
	}
}

func TestValuesThatCannotBeWritten(t *testing.T) {
	s := start(t)
	c := s.client(t)
	store := &Store[string, any]{Client: c, MaxBytes: 10}
	assert.ErrorContains(t, store.Set(t.Context(), "a", func() {}, time.Hour), `fxredis: "a": encode: json: unsupported type`)
	assert.EqualError(t, store.Set(t.Context(), "a", "0123456789", time.Hour), `fxredis: "a": 12 bytes; a value may have 10 (MaxBytes)`)
	assert.NoError(t, store.Set(t.Context(), "b", "01234567", time.Hour))
	v, _, err := store.Get(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, "01234567", v)
	assert.NoError(t, store.Set(t.Context(), "c", "gone", 0), "no time to live, nothing kept")
	assert.EqualValues(t, 1, c.DBSize(t.Context()).Val())
}

func TestOwnEncoding(t *testing.T) {
	store := &Store[string, string]{
		Client: start(t).client(t),
		Encode: func(v string) ([]byte, error) { return []byte(strings.ToUpper(v)), nil },
		Decode: func(b []byte) (string, error) { return string(b) + "!", nil },
	}
	require.NoError(t, store.Set(t.Context(), "a", "tea", time.Hour))
	v, _, err := store.Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "TEA!", v)
}

func TestFullRedisIsToldAndHurtsNobody(t *testing.T) {
	s := start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	heard := make(chan error, 100)
	cache := &fx.Cache[string, price]{Store: prices(s.client(t)), OnErr: func(_ context.Context, err error) { heard <- err }}
	v, err := fx.Remember(fx.Value(tea), cache, "tea")(t.Context())
	require.NoError(t, err)
	assert.Equal(t, tea, v)
	select {
	case err := <-heard:
		assert.ErrorContains(t, err, "OOM")
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	v, err = cache.Recall("tea")(t.Context())
	require.NoError(t, err)
	assert.Equal(t, tea, v, "from memory")
}

func TestTimeToLiveIsSpread(t *testing.T) {
	c := start(t).client(t)
	for jitter, least := range map[float64]float64{0: 0.9, 0.5: 0.5, -1: 1, 7: 0} {
		store := &Store[int, price]{Client: c, Jitter: jitter}
		ttls := map[time.Duration]bool{}
		for k := range 50 {
			require.NoError(t, store.Set(t.Context(), k, tea, time.Hour))
			ttl := c.PTTL(t.Context(), fmt.Sprint(k)).Val()
			assert.LessOrEqual(t, ttl, time.Hour)
			assert.GreaterOrEqual(t, ttl, time.Duration(least*float64(time.Hour))-time.Minute) // the test may be slow
			ttls[ttl.Truncate(30*time.Second)] = true
		}
		if least < 1 {
			assert.Greater(t, len(ttls), 3, jitter)
		}
	}
	store := &Store[string, price]{Client: c}
	for range 20 {
		require.NoError(t, store.Set(t.Context(), "short", tea, time.Millisecond))
		assert.NotEqual(t, time.Duration(-1), c.PTTL(t.Context(), "short").Val(), "without an end")
	}
}

// A counter counts round trips.
type counter struct {
	redis.Hook
	n atomic.Int64
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "getrange" || cmd.Name() == "set" {
			c.n.Add(1)
		} else if cmd.Name() != "hello" && cmd.Name() != "client" {
			c.n.Add(1000)
		}
		return next(ctx, cmd)
	}
}
func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestOneRoundTripACall(t *testing.T) {
	client, trips := start(t).client(t), &counter{}
	client.AddHook(trips)
	store := prices(client)
	_, _, err := store.Get(t.Context(), "tea")
	require.ErrorIs(t, err, fx.ErrMiss)
	require.NoError(t, store.Set(t.Context(), "tea", tea, time.Hour))
	_, _, err = store.Get(t.Context(), "tea")
	require.NoError(t, err)
	assert.EqualValues(t, 3, trips.n.Load())
}

// --- keys ---

type tenantKey struct {
	Tenant string
	ID     int
	flags  [2]bool
}

func (tenantKey) String() string   { return "the same for all" }
func (tenantKey) GoString() string { return "the same for all" }

func TestKeysNeverCollide(t *testing.T) {
	hostile := []string{"", " ", "a", "a:b", "a\nb", "a\r\nFLUSHALL\r\n", "#", "#a", strings.Repeat("k", 200), strings.Repeat("k", 201),
		strings.Repeat("k", 1<<20), "\x00", "\xff\xfe", "{slot}", "*", "🫖", `"`}
	long := sha256.Sum256([]byte(strings.Repeat("k", 201)))
	hostile = append(hostile, "#"+hex.EncodeToString(long[:]))
	s := &Store[string, int]{Prefix: "p:"}
	names := map[string]string{}
	for _, key := range hostile {
		name, err := s.name(key)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(name), 210)
		assert.NotContains(t, names, name)
		names[name] = key
	}
	store := &Store[string, int]{Client: start(t).client(t), Prefix: "p:"}
	for i, key := range hostile {
		require.NoError(t, store.Set(t.Context(), key, i, time.Hour))
	}
	for i, key := range hostile {
		v, _, err := store.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, i, v)
	}
}

func TestDifferentKeysOfAnyTypeHaveDifferentNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) tenantKey {
			return tenantKey{rapid.StringOfN(rapid.RuneFrom([]rune(`a",{}\`)), 0, 3, -1).Draw(t, label+" tenant"),
				rapid.IntRange(-2, 2).Draw(t, label+" id"), [2]bool{rapid.Bool().Draw(t, label+" flag"), true}}
		}
		a, b := draw("a"), draw("b")
		s := &Store[tenantKey, int]{}
		one, err := s.name(a)
		require.NoError(t, err)
		two, err := s.name(b)
		require.NoError(t, err)
		assert.Equal(t, a == b, one == two, "%q and %q", one, two)
	})
}

func TestKeysOfOtherTypes(t *testing.T) {
	type id string
	for _, c := range []struct {
		key  any
		want string
	}{
		{id("ann"), "ann"}, {7, "7"}, {uint8(7), "7"}, {true, "true"}, {1.5, "1.5"}, {[2]int{1, 2}, "{1,2,}"},
		{netip.MustParseAddr("127.0.0.1"), "127.0.0.1"}, {tenantKey{"a", 1, [2]bool{}}, `{"a",1,{false,false,},}`},
	} {
		text, err := textOf(c.key)
		require.NoError(t, err)
		assert.Equal(t, c.want, text)
	}
	for _, key := range []any{nil, new(int), struct{ p *int }{}, make(chan int), struct{ v any }{}, complex(1, 2), [1]error{}, uintptr(1)} {
		_, err := textOf(key)
		assert.ErrorContains(t, err, "has no text that another process would find", "%T", key)
	}
	_, err := textOf(unable{})
	assert.ErrorIs(t, err, errBoom)
}

type unable struct{}

func (unable) MarshalText() ([]byte, error) { return nil, errBoom }

func TestShapesOfTypes(t *testing.T) {
	type node struct {
		Name string
		Next *node
	}
	type leaf struct {
		Name string
		Next *leaf
	}
	assert.Equal(t, shapeOf[node](0), shapeOf[leaf](0), "names of types do not count")
	different := map[uint64]string{}
	for name, shape := range map[string]uint64{
		"node": shapeOf[node](0), "another version": shapeOf[node](1), "price": shapeOf[price](0), "string": shapeOf[string](0), "int": shapeOf[int](0),
		"[]int": shapeOf[[]int](0), "[2]int": shapeOf[[2]int](0), "[3]int": shapeOf[[3]int](0), "map": shapeOf[map[string]int](0), "map of map": shapeOf[map[string]map[string]int](0),
		"tag": shapeOf[struct{ Cents int }](0), "other tag": shapeOf[struct {
			Cents int `json:"c"`
		}](0), "field": shapeOf[struct{ Euros int }](0), "*int": shapeOf[*int](0), "any": shapeOf[any](0),
	} {
		assert.NotContains(t, different, shape, name)
		different[shape] = name
	}
}

// --- Redis in trouble ---

// shop is what a caller does: ask live, and fall back to what is remembered, else to a stand-in.
func shop(c *fx.Cache[string, price], live fx.Op[price], key string) fx.Op[fx.Result[price]] {
	return fx.WithDegraded(fx.Remember(live, c, key), c.Recall(key), fx.Value(price{}))
}

// A crowd makes calls for ever new keys, live and failing ones, and fails the test if one is not answered as it should be.
type crowd struct {
	t     *testing.T
	calls atomic.Int64
	end   chan struct{}
	all   sync.WaitGroup
}

func gather(t *testing.T, client redis.Cmdable) *crowd {
	c := &crowd{t: t, end: make(chan struct{})}
	cache := &fx.Cache[string, price]{Store: prices(client), Size: 10}
	for range 4 {
		c.all.Go(func() { c.keepCalling(cache, fx.Value(tea), false) })
		c.all.Go(func() { c.keepCalling(cache, fx.Fail[price](errBoom), true) })
	}
	return c
}

func (c *crowd) keepCalling(cache *fx.Cache[string, price], live fx.Op[price], degraded bool) {
	for {
		select {
		case <-c.end:
			return
		default:
		}
		key := fmt.Sprint(c.calls.Add(1) % 1000)
		r, err := shop(cache, live, key)(c.t.Context())
		assert.NoError(c.t, err)
		assert.Equal(c.t, degraded, r.Degraded)
		if !degraded || r.Value != (price{}) {
			assert.Equal(c.t, tea, r.Value)
		}
	}
}

// goOn waits until that many more calls have been answered, whatever Redis does meanwhile.
func (c *crowd) goOn(n int64) {
	c.t.Helper()
	enough := c.calls.Load() + n
	require.Eventually(c.t, func() bool { return c.calls.Load() >= enough }, time.Minute, time.Millisecond)
}

func (c *crowd) leave() {
	close(c.end)
	c.all.Wait()
}

// clients are those that people have: one as the doc of Store advises, and one as go-redis makes it by default.
var clients = map[string]func(*server, testing.TB) *redis.Client{"obedient": (*server).client, "deaf": (*server).deaf}

func TestRedisThatIsKilledAndComesBackHurtsNobody(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c := gather(t, client(s, t))
			c.goOn(2000)
			s.kill()
			c.goOn(5000)
			s.run(t)
			written(t, s.client(t), 1) // at least; it is used again
			c.goOn(2000)
			c.leave()
		})
	}
}

func TestRedisThatIsStoppedHurtsNobody(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c := gather(t, client(s, t))
			c.goOn(2000)
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP)) // it takes connections and never answers
			c.goOn(5000)
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
			c.goOn(2000)
			c.leave()
		})
	}
}

func TestReadsOfAStoppedRedisAreBounded(t *testing.T) {
	s := start(t)
	client := s.deaf(t)
	require.NoError(t, client.Ping(t.Context()).Err())
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	store := prices(client)
	var wg sync.WaitGroup
	for k := range 500 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, _, err := store.Get(ctx, fmt.Sprint(k))
			assert.Error(t, err)
		})
	}
	require.Eventually(t, func() bool { running, _ := store.reads.InUse(); return running == readsAtOnce }, 20*time.Second, time.Millisecond)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	wg.Wait()
	running, waiting := store.reads.InUse()
	assert.Zero(t, running+waiting)
}

// --- what is stored ---

func FuzzUnpack(f *testing.F) {
	s := &Store[string, price]{MaxBytes: 1 << 10}
	s.open()
	f.Add(s.pack([]byte(`{"product":"tea"}`), time.UnixMilli(1)))
	f.Add([]byte("fx"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, at, err := s.unpack(b)
		if err != nil {
			assert.Nil(t, payload)
			return
		}
		assert.Equal(t, b, s.pack(payload, at), "only what was packed is unpacked")
	})
}

func TestPackedIsUnpacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Store[string, []byte]{Version: rapid.Int().Draw(t, "version")}
		s.open()
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		at := time.UnixMilli(rapid.Int64Range(0, time.Now().UnixMilli()).Draw(t, "at"))
		got, when, err := s.unpack(s.pack(payload, at))
		require.NoError(t, err)
		assert.Equal(t, string(payload), string(got))
		assert.True(t, at.Equal(when))
	})
}
