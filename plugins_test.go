package polywire_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// Endpoints whose format is a plugin's are reloaded like all others: the processes of an unchanged
// one stay, and those of a removed one end.
func TestPluginsAreReloaded(t *testing.T) {
	program := filepath.Join(t.TempDir(), "builtin")
	if out, err := exec.Command("go", "build", "-o", program, "./examples/plugins/builtin").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	file := func(endpoints string) *config.Config {
		t.Helper()
		text := "endpoints: [{name: e, protocol: echo, listen: '127.0.0.1:0'}" + endpoints + "]\nadmin: {listen: '127.0.0.1:0'}\n"
		cfg, err := polywire.Load(config.Source{Text: text}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	plugged := func(name string) string {
		return fmt.Sprintf(", {name: %s, protocol: wsify, listen: '127.0.0.1:0', plugin: {command: [%q, wsify]}}", name, program)
	}

	r := run(t, "endpoints: [{name: e, protocol: echo, listen: '127.0.0.1:0'}]\nadmin: {listen: '127.0.0.1:0'}\n")
	reload := func(cfg *config.Config, want string) {
		t.Helper()
		plan, err := r.Reload(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := line(plan); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, ep := range r.Endpoints() {
			r.urls[ep.Name] = ep
		}
	}
	reload(file(plugged("a")), "e unchanged; a new |  | ")
	hears := dial(t, r.urls["a"].URL)
	hears.send(`{"command":"join","args":{"channel":"c"}}`)
	reload(file(plugged("a")+plugged("b")), "e unchanged; a unchanged; b new |  | ")
	if _, body := get(t, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/readyz/plugins?format=json"); !strings.Contains(body, `"componentId":"a","status":"pass","observedValue":1,"observedUnit":"processes"`) {
		t.Errorf("the check of plugins says %s", body)
	}
	eventually(t, "there are two processes", func() bool { return len(processes(t, program, "wsify")) == 2 })
	other := dial(t, r.urls["b"].URL)
	other.send(`{"command":"broadcast","args":{"channel":"c","content":"from b"}}`)
	hears.want(`"from b"`)
	reload(file(plugged("a")), "e unchanged; a unchanged; b removed: 1 disconnect |  | ")
	other.endsWith(1001)
	_ = other.conn.Close()
	eventually(t, "there is one process", func() bool { return len(processes(t, program, "wsify")) == 1 })
	reload(file(""), "e unchanged; a removed: 1 disconnect |  | ")
	hears.endsWith(1001)
	_ = hears.conn.Close()
	eventually(t, "there is none", func() bool { return len(processes(t, program, "wsify")) == 0 })
}

// processes returns the ids of processes with these arguments.
func processes(t *testing.T, args ...string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || string(line) != strings.Join(args, "\x00")+"\x00" {
			continue // gone meanwhile, or another one
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
