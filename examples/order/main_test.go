package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ordered plays an order in virtual time and returns what it printed.
func ordered(t *testing.T, args string) (status int, text string) {
	t.Helper()
	set, err := parse(strings.Fields(args))
	require.NoError(t, err)
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) { status = play(t.Context(), set, &out) })
	return status, out.String()
}

// asked is what the shop asked for, in order: the keys in the log.
func asked(text string) (keys []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "──▶") {
			fields := strings.Fields(line)
			keys = append(keys, fields[len(fields)-1])
		}
	}
	return keys
}

// keys writes out what "reserve charge charge/undo" stands for.
func keys(steps string) (keys []string) {
	for _, step := range strings.Fields(steps) {
		keys = append(keys, "order-7/"+step)
	}
	return keys
}

const refundAndRelease = " charge/undo reserve/undo"

func TestFaultsAndWhatBecomesOfTheOrder(t *testing.T) {
	const all = "reserve charge ship notify"
	for _, c := range []struct {
		args   string
		status int
		asked  string
		says   []string
	}{
		{"", 0, all, []string{"The order is placed: a teapot for 29.00 €, parcel 42."}},

		{"-fail reserve", 1, "reserve", []string{"because of reserve: sold out.", "Undone: nothing.", "books are empty"}},
		{"-fail charge", 1, "reserve charge reserve/undo",
			[]string{"because of charge: card declined.", "Undone: reserve.", "books are empty"}},
		{"-fail ship", 1, "reserve charge ship" + refundAndRelease,
			[]string{"because of ship: no courier today.", "Undone: charge, reserve.", "books are empty"}},
		{"-fail notify", 0, all, []string{"The order stands", "Committed: notify failed (mailbox full).", "key order-7/notify"}},

		{"-hang reserve", 1, "reserve reserve reserve reserve/undo",
			[]string{"timeout after 100ms", "Undone: reserve (it may have happened).", "books are empty"}},
		{"-hang charge", 1, "reserve charge charge charge" + refundAndRelease,
			[]string{"the breaker is open; again in 150ms", "Undone: charge (it may have happened), reserve.", "books are empty"}},
		{"-hang ship", 1, "reserve charge ship ship ship",
			[]string{"Uncertain: ship may have happened", "Ask for the key order-7/ship.", "order-7/charge, order-7/ship."}},
		{"-hang notify", 0, all, []string{"Committed: notify failed (timeout after 100ms)."}},

		{"-cancel", 1, "reserve charge" + refundAndRelease,
			[]string{"because of charge: cut off: the shopper left.", "Undone: charge (it may have happened), reserve."}},

		{"-panic reserve", 1, "reserve reserve/undo", []string{"panic: a bug in the client of the stock", "books are empty"}},
		{"-panic charge", 1, "reserve charge" + refundAndRelease, []string{"Undone: charge (it may have happened), reserve."}},
		{"-panic ship", 1, "reserve charge ship", []string{"Uncertain: ship may have happened (panic: "}},
		{"-panic notify", 0, all, []string{"Committed: notify failed (panic: "}},

		{"-undo-fails charge", 1, "reserve charge ship" + strings.Repeat(" charge/undo", 5) + " reserve/undo",
			[]string{"Undone: reserve.\nNOT undone: charge (gave up after 5 attempts", "The books hold order-7/charge."}},
		{"-undo-fails reserve -cancel", 1, "reserve charge charge/undo" + strings.Repeat(" reserve/undo", 5),
			[]string{"Undone: charge (it may have happened).", "NOT undone: reserve", "The books hold order-7/reserve."}},
	} {
		status, text := ordered(t, c.args)
		assert.Equal(t, c.status, status, c.args)
		assert.Equal(t, keys(c.asked), asked(text), c.args)
		for _, says := range c.says {
			assert.Contains(t, text, says, c.args)
		}
	}
}

func TestIDNamesTheKeys(t *testing.T) {
	_, text := ordered(t, "-id 2024_x.1")
	assert.Equal(t, "2024_x.1/reserve", asked(text)[0])
}

// An interrupter sends the program a Ctrl-C as soon as it has printed something.
type interrupter struct {
	bytes.Buffer
	at   string
	sent bool
}

func (w *interrupter) Write(p []byte) (int, error) {
	if !w.sent && bytes.Contains(p, []byte(w.at)) {
		w.sent = true
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGINT)
	}
	return w.Buffer.Write(p)
}

func TestInterruptIsUndoneToo(t *testing.T) {
	out := &interrupter{at: "order-7/charge"} // -hang gives the signal time to arrive
	assert.Equal(t, exitNotPlaced, run(strings.Fields("-hang charge"), out, nil))
	assert.Contains(t, out.String(), "Undone: charge (it may have happened), reserve.")
	assert.Contains(t, out.String(), "The books are empty.")
	assert.NotContains(t, out.String(), "gave up", "the shopper's end is obeyed in mid-call")
}

func TestBadFlagsSayWhatToWrite(t *testing.T) {
	for args, want := range map[string]string{
		"-fail pay":                 "write reserve, charge, ship or notify, as in -fail charge",
		"-hang":                     "-help lists the flags",
		"-panic Charge":             "write reserve, charge, ship or notify, as in -panic charge",
		"-fail charge -hang charge": "charge has both -fail and -hang: give a step one fault",
		"-cancel -panic charge":     "charge has both -panic and -cancel: give a step one fault",
		"-undo-fails ship":          "only reserve and charge have an undo; write one of them",
		"-id a/b":                   "as in -id order-7",
		"-id=":                      "as in -id order-7",
		"charge":                    `unexpected argument "charge"`,
		"-explode":                  "-help lists the flags",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, exitUsage, run(strings.Fields(args), &out, &errs), args)
		assert.Contains(t, errs.String(), want, args)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "one line")
		assert.Empty(t, out.String())
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out, errs bytes.Buffer
	assert.Equal(t, 0, run([]string{"-help"}, &out, &errs))
	for _, flag := range []string{"-fail", "-hang", "-panic", "-cancel", "-undo-fails", "-id", "-mermaid"} {
		assert.Contains(t, out.String(), "\n  "+flag+" ")
	}
	assert.Empty(t, errs.String())
}
