package polywire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/polywiretest"
)

// TestTopics: a program sees what clients of all endpoints hear, and who hears a message.
func TestTopics(t *testing.T) {
	b := polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "vws"},
		{Name: "rooms", Protocol: "wsify", TopicPrefix: "in/"},
	}})
	for range 2 {
		b.Connect("rooms").Subscribe("news")
	}
	b.Connect("web").Subscribe("in/news", "in/+")
	b.Connect("web").Subscribe("in/#")
	has := make(map[string]int)
	for one, err := range b.Topics(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		has[fmt.Sprint(one.Name, one.Pattern)] = one.Subscribers
	}
	if want := map[string]int{"in/newsfalse": 3, "in/+true": 1, "in/#true": 1}; !maps.Equal(has, want) {
		t.Errorf("topics: %v, want %v", has, want)
	}
	n := 0
	for range b.Topics(t.Context()) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("broken off after %d", n)
	}
	audience, err := b.Audience(t.Context(), "in/news")
	var by []string
	for _, one := range audience {
		for _, h := range one.By {
			by = append(by, fmt.Sprint(one.Name, " ", h.Endpoint, " ", h.Subscribers))
		}
	}
	slices.Sort(by)
	if want := []string{"in/# web 1", "in/+ web 1", "in/news rooms 2", "in/news web 1"}; err != nil || !slices.Equal(by, want) {
		t.Errorf("a message is heard by %q, %v, want %q", by, err, want)
	}
	if audience, err := b.Audience(t.Context(), "news"); err != nil || len(audience) != 0 {
		t.Errorf("nobody: %+v, %v", audience, err)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range b.Topics(gone) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("given up: %v", last)
	}
	idle, err := polywire.New(made("web"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for _, err := range idle.Topics(t.Context()) {
		last = err
	}
	if !strings.Contains(last.Error(), "listing topics: the broker is not running") {
		t.Error(last)
	}
	if _, err := idle.Audience(t.Context(), "x"); err == nil {
		t.Error("a broker that does not run has an audience")
	}
}
