package plugin_test

import (
	"strings"
	"syscall"
	"testing"
)

// Callers do not end a client whose plugin stands still, however much they ask it: calls for
// which there is no room fail. When the plugin goes on, the client answers the others, and
// further ones.
func TestCallersDoNotEndAnAnswerer(t *testing.T) {
	yaml := strings.Replace(yamlOf("test", ", answer_timeout: 5m", ""), "  - {name: echo,",
		"  - {name: web, protocol: wsify, listen: \"127.0.0.1:0\", call_timeout: 10m}\n  - {name: echo,", 1)
	b := run(t, yaml)
	answerer, caller := b.dial("p"), b.dial("web")
	answerer.expect("hello")
	answerer.send("join $serve/svc")
	pid := answerer.ask("ready")
	stop(t, pid)
	const calls = 40
	text := strings.Repeat("x", 400_000)
	for range calls {
		caller.send(`{"command":"broadcast","args":{"channel":"$call/1/svc","content":"` + text + `"}}`)
	}
	failed := func() int {
		return int(b.metric(`polywire_calls_failed_total{endpoint="web"`))
	}
	until(t, "calls that fail", func() bool {
		return failed() >= calls/2 && failed()+int(b.metric(`polywire_calls_outstanding`)) >= calls
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	overloaded := failed()
	for range calls - overloaded {
		answerer.expect(text)
	}
	if again := answerer.ask("after"); again != pid {
		t.Error("another process answers")
	}
	if n := b.metric(`polywire_connections_closed_total{endpoint="p"`); n != 0 {
		t.Errorf("%v connections of the plugin were closed", n)
	}
	for range overloaded {
		if got := caller.read(); !strings.Contains(got, "overloaded") {
			t.Fatalf("the caller reads %.100q", got)
		}
	}
}
