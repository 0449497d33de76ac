package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLaneEndsWithItsParent(t *testing.T) {
	for name, said := range map[string]string{"that says nothing": "", "that says something else": "stop\n", "that dies in mid-word": "go"} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := playLane(t.Context(), settings{rate: 100, lane: plainLane, fast: true}, strings.NewReader(said), &out)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, "{\"ready\":true}\n", out.String())
		})
	}
}

func TestLaneEndsInTheMiddleOfTheStory(t *testing.T) {
	for _, name := range []string{plainLane, guardedLane} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fromParent, parent := io.Pipe()
			toParent, lane := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- playLane(t.Context(), settings{rate: 100, seed: 1, lane: name, fast: true}, fromParent, lane)
				lane.Close()
			}()
			reports := json.NewDecoder(toParent)
			var ready report
			require.NoError(t, reports.Decode(&ready))
			assert.True(t, ready.Ready)
			_, err := io.WriteString(parent, goOn)
			require.NoError(t, err)
			for tenth := 1; tenth <= perSecond; tenth++ {
				var r report
				require.NoError(t, reports.Decode(&r))
				require.NotNil(t, r.Sample)
				assert.Equal(t, name, r.Sample.Lane)
				assert.Equal(t, tenth, r.Sample.Tenth)
				assert.Equal(t, 1, r.Sample.Second)
			}
			parent.Close()
			go io.Copy(io.Discard, toParent)
			select {
			case err := <-ended:
				assert.ErrorIs(t, err, context.Canceled)
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}
