package verify_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/plugin"
	"github.com/polywire/polywire/plugin/verify"
)

// until is a list that is long enough once it has the line of a check.
type until struct {
	strings.Builder
	check string
	then  func()
}

// Write takes one line.
func (u *until) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(u.check)) {
		u.then()
	}
	return u.Builder.Write(line)
}

// list verifies a plugin and returns the list.
func list(t *testing.T, o verify.Options) (string, error) {
	t.Helper()
	o.Seed, o.Log = 1, slog.New(slog.NewTextHandler(t.Output(), nil))
	var out strings.Builder
	err := verify.Run(t.Context(), o, &out)
	t.Log(out.String())
	return out.String(), err
}

// role returns options with which the test binary is the plugin.
func role(t *testing.T, name string) verify.Options {
	o := verify.Options{
		Seed: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Plugin: plugin.Options{
			Command: []string{os.Args[0]}, AnswerTimeout: coretest.Patience, StartTimeout: coretest.Patience,
			Env: map[string]string{roleVariable: name, startsVariable: filepath.Join(t.TempDir(), "starts")},
		},
		Conversations: "testdata/talk", Random: 1000, Cuts: 2000, Slack: coretest.Patience,
	}
	switch name {
	case "hangs":
		o.Plugin.AnswerTimeout = 5 * time.Second
	case "drops", "quits":
		o.Slack = 0 // what never comes is awaited
	}
	return o
}

// TestBuiltin verifies the built-in formats, as plugins, with their own conversations.
func TestBuiltin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "builtin")
	build := exec.Command("go", "build", "-o", program, "../../examples/plugins/builtin")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	for _, name := range []string{"wubsub", "wsify", "stocking", "vws", "webwire"} {
		t.Run(name, func(t *testing.T) {
			out, err := list(t, verify.Options{
				Plugin: plugin.Options{
					Command: []string{program, name}, AnswerTimeout: coretest.Patience, StartTimeout: coretest.Patience,
				},
				Conversations: scripts(t, name), Random: 1000, Cuts: 2000, Slack: coretest.Patience,
			})
			if err != nil {
				t.Error(err)
			}
			if n := strings.Count(out, "not checked"); n != 1 {
				t.Errorf("%d checks were left out, want that of closed connections alone", n)
			}
		})
	}
}

// scripts returns a folder with the conversations of a format, without the slow ones.
func scripts(t *testing.T, name string) string {
	t.Helper()
	files, err := filepath.Glob("../../conversations/" + name + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d conversations of %s, %v", len(files), name, err)
	}
	dir := t.TempDir()
	for _, file := range files {
		switch filepath.Base(file) {
		case "slow.txt", "idle.txt", "liveness.txt", "limits.txt":
			continue
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGood verifies plugins that keep the contract, stateful and stateless ones.
func TestGood(t *testing.T) {
	for name, want := range map[string]string{
		"talk": "its connections stayed", "stateful": "its connections were closed with 1012",
		"demanding": "its connections stayed", "client": "ok           speaks as a client: says subscribe, publish",
	} {
		t.Run(name, func(t *testing.T) {
			o := role(t, name)
			o.Options = map[string]any{"greeting": "hello"}
			out, err := list(t, o)
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("error %v; want %q", err, want)
			}
			if !strings.Contains(out, "ok           conversation room.txt") {
				t.Error("the conversation was not played")
			}
		})
	}
}

// TestBad verifies plugins that make a mistake: the list says which, in the right place.
func TestBad(t *testing.T) {
	for _, c := range []struct {
		role, check string
		why         []string
	}{
		{"exits", "starts and shakes hands", []string{"the licence has expired"}},
		{"garbage", "starts and shakes hands", []string{"Welcome to the plugin!"}},
		{"newer", "starts and shakes hands", []string{"incompatible API version"}},
		{"other contract", "takes its options", []string{"version 7 of the contract"}},
		{"no profile", "takes its options", []string{"no profile"}},
		{"demanding", "takes its options", []string{"greeting: must not be empty"}},
		{"nonsense", "describes itself", []string{
			`format "a format" is no name`, `listen "nowhere"`, `path "ws"`, "pong_timeout", "plain_status 42", "close_reply 1006", `"boredom"`, `"idle" has the code 1015`, `two goodbyes for "idle"`,
		}},
		{"fickle", "describes itself again", []string{"differs from the first"}},
		{"raw", "refuses unknown options", []string{"no_such_option"}},
		{"raw", "forgets closed connections", []string{`"always" for a connection that is closed`}},
		{"too many", "answers each question once", []string{"but 2 answers"}},
		{"too few", "answers each question once", []string{"but 0 answers"}},
		{"unasked", "answers each question once", []string{"0 questions, but 1 answers"}},
		{"bad text", "answers each question once", []string{"not UTF-8"}},
		{"crashes when cut", "takes input cut at every byte", []string{`a message cut behind 2 of 20 bytes, behind the text "y room hello there": it ended`}},
		{"hangs", "takes input cut at every byte", []string{"gave no answer within 5s"}},
		{"crashes at random", "takes random messages", []string{`a random message, behind the text "`}},
		{"crashes over a lost offer", "takes input cut at every byte", []string{"it ended"}},
		{"crashes over a closed session", "takes input cut at every byte", []string{"it ended"}},
		{"client never ready", "speaks as a client", []string{"it is not ready although its own server's side has greeted it"}},
		{"client says another thing", "speaks as a client", []string{`it says subscribe as "say news/today", which its server's side takes for publish`}},
		{"client says nothing", "speaks as a client", []string{"saying call: it says nothing"}},
		{"client panics", "speaks as a client", []string{"the codec panicked"}},
		{"drops", "serves beside a client that does not read", []string{"a client that reads heard"}},
		{"hoards", "serves beside a client that does not read", []string{"it has grown by"}},
		{"quits", "comes back after kill -9", []string{"a client that connects after the death"}},
	} {
		t.Run(c.role+" "+c.check, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			seen := &until{check: c.check, then: cancel}
			err := verify.Run(ctx, role(t, c.role), seen)
			t.Log(seen)
			if err == nil {
				t.Fatal("the plugin was found to be good")
			}
			line := regexp.MustCompile(`(?m)^FAILED +` + regexp.QuoteMeta(c.check) + `: ((?s).*?)(\n\w|\z)`).FindStringSubmatch(seen.String())
			for _, why := range c.why {
				if line == nil || !strings.Contains(line[1], why) {
					t.Errorf("%q has not failed for %q", c.check, why)
				}
			}
		})
	}
}
