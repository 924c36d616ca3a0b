package record_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/conversations/stage"
	"github.com/polywire/polywire/core/coretest"
)

// speaksTo finds the endpoints that a script speaks to.
var speaksTo = regexp.MustCompile(`(?m)^(?:connect \S+|dial \S+|http \S+)\s+(\S+)`)

// Conversations that only speak to one endpoint are recorded, and the recordings are played: all that is in
// them can be recorded.
func TestConversations(t *testing.T) {
	recorded := make(map[string]int)
	for _, protocol := range []string{"wubsub", "wsify", "stocking", "vws", "webwire"} {
		files, err := filepath.Glob("../../conversations/" + protocol + "/*.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Those of webhooks and times depend on more than what passes.
			alone := !regexp.MustCompile(`(?m)^(webhook|broker)|\$\{time|ping_interval|silence \d| nopong`).Match(text)
			for _, endpoint := range speaksTo.FindAllStringSubmatch(string(text), -1) {
				alone = alone && endpoint[1] == protocol
			}
			if !alone {
				continue
			}
			recorded[protocol]++
			for way, between := range map[string]func(*testing.T, string, map[string]*url.URL) func() string{"proxy": proxied, "tap": tapped} {
				t.Run(protocol+"/"+filepath.Base(file)+"/"+way, func(t *testing.T) {
					recording := again(t, protocol, file, string(text), func(servers map[string]*url.URL) func() string {
						return between(t, protocol, servers)
					})
					config, _, found := strings.Cut(strings.TrimPrefix(string(text)[max(0, strings.Index(string(text), "---\n")):], "---\n"), "\n---")
					if found {
						recording = "---\n" + config + "\n---\n" + recording
					}
					again(t, protocol, "recording.txt", recording, nil)
				})
			}
		}
	}
	for _, protocol := range []string{"wubsub", "wsify", "stocking", "vws", "webwire"} {
		if recorded[protocol] == 0 {
			t.Errorf("no conversation of %s was recorded", protocol)
		}
	}
}

// proxied records between the clients and the server.
func proxied(t *testing.T, protocol string, servers map[string]*url.URL) (end func() string) {
	r := start(t, protocol, servers[protocol].String(), nil)
	servers[protocol] = r.url(servers[protocol])
	return func() string {
		if _, err := r.stop(); err != nil {
			t.Error(err)
		}
		return r.text()
	}
}

// tapped records with a tap. A request at the end shows that all before it is recorded; it is taken out.
func tapped(t *testing.T, protocol string, servers map[string]*url.URL) (end func() string) {
	r := startTap(t, protocol, servers)
	return func() string {
		at := *servers[protocol]
		at.Scheme, at.RawQuery = "http", "last-of-all"
		response, err := http.Get(at.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		r.shows(t, "?last-of-all\n  => ")
		r.quit()
		if _, err := r.stop(); err != nil {
			t.Error(err)
		}
		return lastOfAll.ReplaceAllString(r.text(), "")
	}
}

// lastOfAll is the request at the end.
var lastOfAll = regexp.MustCompile(`(?m)^http GET \S+ \S+\?last-of-all\n(  .*\n)*`)

// again plays a script against a broker of its own, and returns what between returned at the end.
func again(t *testing.T, protocol, file, text string, between func(servers map[string]*url.URL) func() string) (result string) {
	t.Helper()
	s, err := conversations.Parse(file, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s.Timeout = max(s.Timeout, coretest.Patience)
	p, err := conversations.NewPlayer(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, lacks, found := strings.Cut(text, "needs them: --set "); found {
		for set := range strings.SplitSeq(strings.TrimSpace(lacks), " --set ") {
			p.Set(strings.TrimSuffix(set, "=…"), "any")
		}
	}
	yaml, err := p.Config([]string{protocol})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := polywire.Load(config.Source{Text: yaml, Set: []config.Override{{From: "the test", Key: "admin.listen", Value: "127.0.0.1:0"}}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = stage.Serve(t.Context(), cfg, slog.New(slog.DiscardHandler), func(servers map[string]*url.URL, _ func() error) error {
		end := func() string { return "" }
		if between != nil {
			end = between(servers)
		}
		err := p.Play(t.Context(), servers)
		result = end()
		_ = p.Close()
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return result
}
