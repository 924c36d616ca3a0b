package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
)

// A backend sees from the run of its batches that a broker was killed, and never gets two events with one id from the two.
func TestEventsOfKilledBroker(t *testing.T) {
	var mu sync.Mutex
	runs := make(map[string][]string) // the types of the events
	ids := make(map[string]bool)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var batch struct {
			Run    string
			Events []struct{ ID, Type string }
		}
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			return // the broker was killed meanwhile
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range batch.Events {
			if !ids[e.ID] {
				runs[batch.Run] = append(runs[batch.Run], e.Type)
			}
			ids[e.ID] = true
		}
	}))
	defer backend.Close()
	file := write(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: wsify, listen: "127.0.0.1:0"}]
admin: {listen: ""}
events: [{name: a, url: %q, secret: "0123456789abcdef"}]
`, backend.URL))
	for n := 1; n <= 2; n++ {
		p := begin(t, nil, nil, "", "serve", "--config", file)
		conn, _, _, err := ws.Dial(context.Background(), p.urls(t, 2)["web ws"])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		coretest.Eventually(t, "the backend hears of it", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(runs) == n
		})
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	for run, events := range runs {
		if got := strings.Join(events, " "); got != "connected" {
			t.Errorf("run %s: %s", run, got)
		}
	}
}
