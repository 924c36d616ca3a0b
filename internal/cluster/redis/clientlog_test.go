package redis

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// output keeps what is logged.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.text.String(), text)
}

// What go-redis logs goes to the log of the node.
func TestClientLog(t *testing.T) {
	log := new(output)
	b, err := New(Options{
		Node: "a", URL: "redis+sentinel://127.0.0.1:" + strconv.Itoa(coretest.FreePort(t)) + "?master_name=m",
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Stats: new(core.ClusterStats),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Start(clustertest.NewRecorder("a"))
	defer b.Close()
	coretest.Eventually(t, "the client logs", func() bool { return log.has("msg=go-redis") })
}
