package main

import (
	"testing"

	"github.com/polywire/polywire/polywiretest"
)

// TestRoutes: what clients of the program ask and hear, with the program's own broker at free ports.
func TestRoutes(t *testing.T) {
	broker, err := newBroker(polywiretest.NewLog(t).Logger, polywiretest.FreePorts())
	if err != nil {
		t.Fatal(err)
	}
	b := polywiretest.Run(t, broker)
	game, web := b.Connect("games"), b.Connect("web")

	if got := game.Call("greet", `{"name":"doge"}`); got != `"Hello doge"` {
		t.Errorf("doge is greeted with %s", got)
	}
	if got := web.CallFails("greet", `{"name":"cat"}`); got.Text != "Who are you?" {
		t.Errorf("a cat is refused with %+v", got)
	}
	web.Subscribe("lobby")
	game.Call("announce", `{"room":"lobby","text":"the game begins"}`)
	web.Expect("lobby", `"the game begins"`)
}
