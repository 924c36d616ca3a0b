package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help show what the broker does.
func TestExamplesOfTop(t *testing.T) {
	s := speak(t, "")
	sub := s.enter(t, "broker sub vws://127.0.0.1:8080/ws news/today")
	all := examples(t, newTop(), 2)
	lasting := s.enter(t, all[0]+" --interval 100ms")
	coretest.Eventually(t, "a client is shown", func() bool {
		return strings.Contains(lasting.text(), "\nbusiest\nCONNECTION  ENDPOINT  NODE  REMOTE ") && strings.Contains(lasting.text(), "  1 connections\n\nENDPOINT  PROTOCOL  NODE  CONNECTIONS  ")
	})
	lasting.stop()
	_ = coretest.Receive(t, "the end of the command", lasting.done)
	once := s.enter(t, all[1]+" --interval 100ms").ends(t)
	for _, title := range []string{"\nbusiest\n", "\nslowest\n", "\nnewest\n"} {
		if strings.Count(once, title) != 1 {
			t.Errorf("%q is not once in\n%s", title, once)
		}
	}
	var one screen
	if err := json.Unmarshal([]byte(s.enter(t, "broker top --config config.yaml --count 1 --interval 100ms --json").ends(t)), &one); err != nil {
		t.Fatal(err)
	}
	if one.Total != 1 || len(one.Endpoints) == 0 || len(one.Sorts["newest"]) != 1 || one.Sorts["newest"][0].Endpoint != "vws" {
		t.Errorf("%+v", one)
	}
	for _, wrong := range []string{"--interval 1ms", "--rows 0"} {
		if err := coretest.Receive(t, "the end of the command", s.enter(t, "broker top --config config.yaml "+wrong).done); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	sub.stop()
	_ = coretest.Receive(t, "the end of the client", sub.done)
}

func TestShortNumber(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 7: "7", 0.25: "0.2", 9.94: "9.9", 9.96: "10", 999: "999", 999.6: "1.0k", 1_000: "1.0k", 12_345: "12k", 2_500_000: "2.5M", 1e25: "10000000E",
	} {
		if got := shortNumber(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
