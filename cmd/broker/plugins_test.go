package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// buildPlugin builds an example.
func buildPlugin(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/plugins/"+name).CombinedOutput(); err != nil {
		t.Fatalf("building the plugin %s: %v\n%s", name, err, out)
	}
	return program
}

// speakPlugins is speak for a broker with an endpoint of STOMP, and one whose plugin knows no client's side.
func speakPlugins(t *testing.T) *speaking {
	t.Helper()
	s := &speaking{dir: t.TempDir(), ports: make(map[string]string)}
	for _, usual := range []string{"127.0.0.1:15674", "127.0.0.1:9190", "127.0.0.1:7001"} {
		s.ports[usual] = fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	}
	text := s.real(fmt.Sprintf(`
admin: {listen: ""}
endpoints:
  - {name: stomp, protocol: stomp, listen: "127.0.0.1:15674", options: {login: me, passcode: secret}, plugin: {command: [%q]}}
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:9190"}
  - {name: mute, protocol: mute, listen: "127.0.0.1:7001", plugin: {command: [%q, echo]}}
`, buildPlugin(t, "stomp"), buildPlugin(t, "builtin")))
	file := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serveHere(t, file)
	return s
}

// children returns the processes that a command has started.
func children(c *typed) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.cmd.Process.Pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// A plugin's format is spoken to as a built-in one is, by the name of its endpoint and by URL, and goes on when
// the plugin was killed.
func TestPluginsSpeak(t *testing.T) {
	s := speakPlugins(t)
	for _, target := range []string{"stomp", "stomp://127.0.0.1:15674/ws", "ws://127.0.0.1:15674/ws --protocol stomp", "stomp://127.0.0.1"} {
		sub := s.enter(t, "broker sub "+target+" 'news/#' --config config.yaml --format json")
		coretest.Eventually(t, target+" hears something", func() bool {
			s.enter(t, "broker pub "+target+" news/today '{\"n\":1}' --config config.yaml").ends(t)
			return strings.Contains(sub.text(), `{"topic":"news/today","kind":"json","payload":{"n":1}}`)
		})
		if target != "stomp" {
			sub.stop()
			sub.ends(t)
			continue
		}
		for _, pid := range children(sub) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		coretest.Eventually(t, "the command says that the plugin has ended", func() bool {
			return strings.Contains(sub.text(), "the plugin that speaks the format: its process, or its part in this connection, has ended")
		})
		coretest.Eventually(t, "the subscriber hears something again", func() bool {
			// It owns the channel until it ends.
			s.enter(t, "broker pub wubsub news/today '\"again\"' --config config.yaml").ends(t)
			return strings.Contains(sub.text(), "again\"}")
		})
	}
	answer := s.enter(t, "broker answer stomp shop/price --config config.yaml -- tr a-z A-Z")
	for _, target := range []string{"stomp", "wubsub"} {
		coretest.Eventually(t, target+" is answered", func() bool {
			c := s.enter(t, "broker call "+target+" shop/price tea --config config.yaml")
			return coretest.Receive(t, "the end of the call", c.done) == nil && c.text() == "TEA\n"
		})
	}
	answer.stop()
	answer.ends(t)
}

// A format without a client's side, and one that there is not, are named with what to do.
func TestPluginsThatCannotSpeak(t *testing.T) {
	s := speakPlugins(t)
	for command, want := range map[string]string{
		"broker sub mute news --config config.yaml":                          "the format mute has no client's side here: its plugin does not offer one",
		"broker sub mute://127.0.0.1:7001 news --config config.yaml":         "the format mute has no client's side here: its plugin does not offer one",
		"broker sub stump://127.0.0.1:15674 news --config config.yaml":       `there is no format "stump"`,
		"broker sub stump://127.0.0.1:15674 news --config none.yaml":         "those of plugins in a configuration (--config)",
		"broker sub stomp news --timeout 1m --config config.yaml --header x": "--header",
	} {
		c := s.enter(t, command)
		err := coretest.Receive(t, "the end of the command", c.done)
		if got := c.text(); err == nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v, %s; want %s", command, err, got, want)
		}
	}
}
