package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/matrix"
)

var update = flag.Bool("update", false, "write the table of docs/formats/matrix.md")

// matrixPage is the page that shows the matrix.
const matrixPage = "../../docs/formats/matrix.md"

// The page shows what the command prints for its configuration, and names all properties.
func TestMatrixPage(t *testing.T) {
	page, err := os.ReadFile(matrixPage)
	if err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindSubmatch(page)
	table := regexp.MustCompile("(?s)```text\n(.*?)```\n").FindSubmatchIndex(page)
	if config == nil || table == nil {
		t.Fatal("the page has no configuration, or no table")
	}
	_, want, _ := strings.Cut(printed(t, "check", "-c", write(t, string(config[1])), "--matrix"), "\n\n")
	want = strings.TrimRight(want, "\n") + "\n"
	if *update {
		page = slices.Concat(page[:table[2]], []byte(want), page[table[3]:])
		if err := os.WriteFile(matrixPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got := string(page[table[2]:table[3]]); got != want {
		t.Errorf("the page shows\n%s\nand the command prints\n%s\nRun this test with -update.", got, want)
	}
	for line := range strings.Lines(want) {
		if utf8.RuneCountInString(line) > 121 {
			t.Errorf("too long: %s", line)
		}
	}
	for _, property := range slices.Concat(matrix.FormatProperties(), matrix.PairProperties()) {
		kind, name, found := strings.Cut(property, ".")
		if strings.Contains(string(page), "`"+property+"`") {
			continue
		}
		if !found || kind == "failure" || !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not name %s", property)
		}
	}
}

// succeeds returns what a command writes that succeeds.
func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(args, &out, &log); code != 0 || log.Len() > 0 {
		t.Fatalf("%q: exit code %d\n%s", args, code, log.String())
	}
	return out.String()
}

// printed returns what the program prints for a command that succeeds. Finding the biggest messages takes half a
// minute with the race detector, which the program does not have; the tests of the matrix have it.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil || log.Len() > 0 {
		t.Fatalf("%q: %v\n%s", args, err, log.String())
	}
	return string(out)
}

// fleet has bridges of which some cannot do what they are to do, and endpoints of which two are alike.
const fleet = `
admin: {listen: ""}
endpoints:
  - {name: web, protocol: wsify, listen: "127.0.0.1:3001"}
  - {name: web2, protocol: wsify, listen: "127.0.0.1:3002"}
  - {name: sensors, protocol: vws, listen: "127.0.0.1:3003", options: {allow_send: "sensors/+/x/#"}}
  - {name: clients, protocol: vws, listen: "127.0.0.1:3005", options: {allow_send: {prefix: client/}}}
  - {name: vws, protocol: vws, listen: "127.0.0.1:3004"}
  - {name: echo, protocol: echo, listen: "127.0.0.1:3006"}
bridges:
  - {name: good, protocol: stocking, url: "ws://other.example:12345/ws", hear: [news/today], tell: ["chat/+"], calls: {to: [bots/echo]}}
  - {name: old, protocol: wubsub, url: "ws://me:s3cret@old.example:9190/?token=s3cret", hear: [news/today, chat/x], tell: ["chat/+", chat, other/x], owns: [chat]}
  - {name: old2, protocol: wsify, url: "ws://old.example:9190/", hear: [news/today, chat/x], tell: [other/y]}
  - {name: old3, protocol: vws, url: "ws://old.example:9190/", hear: ["news/+/#", "+/x"], tell: [chat/y]}
`

// The examples of the help run as they are typed.
func TestExamplesOfCheck(t *testing.T) {
	s := speak(t, "")
	for i, example := range examples(t, newCheck(), 5) {
		example = strings.Replace(example, "generate-config", "cat config.yaml", 1)
		got := s.enter(t, example).ends(t)
		want := []string{"ENDPOINT", "\nCLIENTS OF", `"from": "wsify"`, ":3001/ws", "ENDPOINT"}[i]
		if !strings.Contains(got, want) {
			t.Errorf("%s wrote %q", example, got)
		}
	}
}

// Bridges are listed, without secrets, with what they cannot do.
func TestCheckBridges(t *testing.T) {
	file := write(t, fleet)
	text := succeeds(t, "check", "-c", file)
	_, text, _ = strings.Cut(text, "\n\n")
	const want = `BRIDGE  PROTOCOL  URL                                 WHAT
good    stocking  ws://other.example:12345/ws         hear: news/today
                                                      tell: chat/+
                                                      calls to: bots/echo
old     wubsub    ws://%E2%80%A6@old.example:9190/?…  hear: news/today, chat/x
                                                      tell: chat/+, chat, other/x
                                                      owns: chat
old2    wsify     ws://old.example:9190/              hear: news/today, chat/x
                                                      tell: other/y
old3    vws       ws://old.example:9190/              hear: news/+/#, +/x
                                                      tell: chat/y
note: bridge old: tell chat/+: an original of wubsub ends when the owner of a channel has not declared a topic that has subscribers; a bridge declares those that are named
note: bridge old: tell chat/+ and hear chat/x: a message there that equals one just told is taken for that one
note: bridge old: tell other/x: in wubsub only the owner of a channel publishes; without owns, messages are refused
note: bridge old2: hear: a server of wsify does not say the topic of a message: the bridge makes 2 connections
note: bridge old3: tell: by default a server of vws refuses messages: client event publishing is not allowed
note: bridge old3: hear +/x: the bridge old2 hears chat/x at the same server; messages are published twice
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	var got checked
	if err := json.Unmarshal([]byte(succeeds(t, "check", "-c", file, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Bridges) != 4 || len(got.Endpoints) != 6 || got.Matrix != nil || len(got.Bridges[1].Notes) != 3 || got.Bridges[0].CallsTo[0] != "bots/echo" || got.Bridges[0].Notes == nil {
		t.Errorf("got %+v", got)
	}
	file = write(t, fleet+fmt.Sprintf("cluster: {engine: nats, node: a, embedded: {listen: \"127.0.0.1:%d\", routes: [\"nats://127.0.0.1:1\"], store_dir: %q}}\n", coretest.FreePort(t), t.TempDir()))
	const standby = "note: bridge good: one node of the cluster runs it, and the others stand by\n"
	if text := succeeds(t, "check", "-c", file); !strings.Contains(text, standby) {
		t.Errorf("got\n%s\nwant\n%s", text, standby)
	}
}

// The matrix is that of the endpoints as they are configured; those that carry the same are one row.
func TestCheckMatrix(t *testing.T) {
	file := write(t, fleet)
	var got checked
	if err := json.Unmarshal([]byte(printed(t, "check", "-c", file, "--json", "--matrix")), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	formats := make(map[string]matrix.Format)
	for _, f := range got.Matrix.Formats {
		names = append(names, f.Name)
		formats[f.Name] = f
	}
	if want := "wsify vws (sensors) vws (clients) vws (vws) echo"; strings.Join(names, " ") != want || len(got.Matrix.Pairs) != 25 {
		t.Fatalf("got %q and %d pairs, want %q", names, len(got.Matrix.Pairs), want)
	}
	if !slices.Equal(formats["wsify"].Endpoints, []string{"web", "web2"}) {
		t.Errorf("wsify is %+v", formats["wsify"])
	}
	for name, want := range map[string]matrix.Cell{
		"vws (sensors)": {Property: "publish", Outcome: matrix.Yes, Detail: "sensors/+/x/#"},
		"vws (clients)": {Property: "publish", Outcome: matrix.Yes, Detail: "client/…"},
		"vws (vws)":     {Property: "publish", Outcome: matrix.No, Detail: "client event publishing is not allowed"},
		"echo":          {Property: "publish", Outcome: matrix.Unknown},
	} {
		if cell := formats[name].Get("publish"); cell != want {
			t.Errorf("%s: %+v, want %+v", name, cell, want)
		}
	}
	if c := formats["echo"].Get("max_message"); c.Limit != 32<<20 || formats["echo"].Known {
		t.Errorf("echo: %+v", formats["echo"])
	}
	for _, p := range got.Matrix.Pairs {
		var whole, unknown int
		for _, c := range p.Cells {
			switch c.Outcome {
			case matrix.Whole:
				whole++
			case matrix.Unknown:
				unknown++
			}
		}
		strange := p.From == "echo" || p.To == "echo"
		if strange != (unknown == len(p.Cells)) || !strange && unknown > 0 || (p.From == "vws (vws)" || strange) != (whole == 0) {
			t.Errorf("%s -> %s: %d whole, %d unknown of %d", p.From, p.To, whole, unknown, len(p.Cells))
		}
	}
	if text := printed(t, "check", "-c", file, "--matrix", "--endpoint", "echo,web2"); !strings.Contains(text, "echo (echo): messages of up to 32MiB; ") || strings.Contains(text, "vws (") {
		t.Errorf("got %s", text)
	}
	for args, want := range map[string]string{
		"check --endpoint web":              "--endpoint chooses the endpoints of --matrix, which is missing",
		"check --matrix --endpoint web,wob": "--endpoint wob: the configuration has no such endpoint; endpoints: web, web2, sensors",
	} {
		var out, log bytes.Buffer
		if code := run(append(strings.Fields(args), "-c", file), &out, &log); code != 1 || !strings.Contains(log.String(), want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d\n%s%s", args, code, out.String(), log.String())
		}
	}
}
