package auth

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// templates parses a list, separated by spaces; "-" is an empty list, "" none.
func templates(t testing.TB, list string) []core.Template {
	t.Helper()
	if list == "" {
		return nil
	}
	parsed := []core.Template{}
	for text := range strings.FieldsSeq(strings.TrimPrefix(list, "-")) {
		one, err := core.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, one)
	}
	return parsed
}

func TestRules(t *testing.T) {
	ann := &core.Identity{Subject: "ann", Claims: map[string]any{"rooms": []any{"red", "blue"}, "evil": "#"}}
	for _, c := range []struct {
		name, allow, deny string
		topic             string // ~ before a pattern
		want              bool
	}{
		{"not mentioned", "", "", "a", false},
		{"not mentioned, a pattern", "", "", "~a/#", false},
		{"an empty list", "-", "", "a", false},
		{"an empty list to deny", "", "-", "a", true},
		{"listed", "a b", "", "b", true},
		{"not listed", "a b", "", "c", false},
		{"denied alone", "", "a", "a", false},
		{"the rest of denied", "", "a", "b", true},
		{"deny wins", "#", "a/#", "a/b", false},
		{"deny wins over the same", "a", "a", "a", false},
		{"beside what is denied", "#", "a/#", "b", true},
		{"own", "users/{subject}/#", "", "users/ann/x", true},
		{"another's", "users/{subject}/#", "", "users/bob/x", false},
		{"one of a list", "rooms/{rooms}", "", "rooms/blue", true},
		{"none of a list", "rooms/{rooms}", "", "rooms/green", false},
		{"a wildcard in a value", "x/{evil}", "", "x/y", false},
		{"a wildcard in a value, asked for", "x/{evil}", "", "~x/#", false},
		{"a pattern within", "users/{subject}/#", "", "~users/ann/+", true},
		{"a pattern beyond", "users/{subject}/#", "", "~users/+/x", false},
		{"a pattern that touches what is denied", "#", "secret/#", "~+/x", false},
		{"a pattern that does not", "#", "secret/#", "~open/+", true},
		{"a pattern over all", "#", "secret/#", "~#", false},
		{"a pattern over the rest", "", "secret/#", "~open/#", true},
		{"the broker's topics", "#", "", "$sys/x", false},
		{"the broker's topics, by a pattern", "#", "", "~$sys/#", false},
		{"the broker's topics, listed", "$sys/#", "", "~$sys/#", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lists := Lists{Allow: templates(t, c.allow), Deny: templates(t, c.deny)}
			topic, pattern := strings.CutPrefix(c.topic, "~")
			for right, acl := range map[core.Right]*ACL{
				core.MayPublish:      {Publish: lists},
				core.MaySubscribe:    {Subscribe: lists},
				core.MayCall:         {Call: lists},
				core.MayServe:        {Serve: lists},
				core.MayPublishOwned: {PublishOwned: lists},
			} {
				rules := NewRules(acl)
				for r := core.MayPublish; r <= core.MayPublishOwned; r++ {
					if got, want := rules.May(ann, r, []byte(topic), pattern), c.want && r == right; got != want {
						t.Errorf("lists for right %d: may right %d: %t", right, r, got)
					}
				}
			}
		})
	}
}

func TestRulesWithoutACL(t *testing.T) {
	rules := NewRules(nil)
	for r := core.MayPublish; r <= core.MayPublishOwned; r++ {
		if got, want := rules.May(nil, r, []byte("a"), false), r != core.MayPublishOwned; got != want {
			t.Errorf("right %d: %t", r, got)
		}
	}
	if !rules.May(nil, core.MaySubscribe, []byte("$sys/#"), true) {
		t.Error("a pattern is refused")
	}
	rules.Replace(&ACL{})
	if rules.May(nil, core.MayPublish, []byte("a"), false) {
		t.Error("the ACL was not replaced")
	}
}

func BenchmarkMayPublish(b *testing.B) {
	ann := &core.Identity{Subject: "ann", Claims: map[string]any{"rooms": []any{"red", "blue", "green"}, "tenant": "t1"}}
	rules := NewRules(&ACL{Publish: Lists{
		Allow: templates(b, "sensors/+/temperature users/{subject}/# rooms/{tenant}/{rooms}/+"),
		Deny:  templates(b, "rooms/{tenant}/locked/#"),
	}})
	topic := []byte("rooms/t1/green/chat")
	b.ReportAllocs()
	for b.Loop() {
		if !rules.May(ann, core.MayPublish, topic, false) {
			b.Fatal("denied")
		}
	}
}

// The hot path allocates nothing, whatever the kinds of claims.
func TestMayAllocatesNothing(t *testing.T) {
	ann := &core.Identity{Subject: "ann", Claims: map[string]any{"rooms": []any{"red", "blue"}, "admin": true, "tenant": "t1"}}
	rules := NewRules(&ACL{Publish: Lists{
		Allow: templates(t, "users/{subject}/# {admin} rooms/{tenant}/{rooms}/+"), Deny: templates(t, "rooms/{missing}/#"),
	}})
	topics := [][]byte{[]byte("rooms/t1/blue/chat"), []byte("users/ann/x"), []byte("true"), []byte("none/of/these")}
	got := testing.AllocsPerRun(100, func() {
		for _, topic := range topics {
			rules.May(ann, core.MayPublish, topic, false)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// What a list allows is named; what nothing forbids is not.
func TestNamed(t *testing.T) {
	for _, c := range []struct {
		allow, deny string
		topic       string
		want        bool
	}{
		{"$sys/#", "", "$sys/a", true},
		{"$sys/#", "$sys/a", "$sys/a", false},
		{"#", "", "$sys/a", false},
		{"", "b", "$sys/a", false},
		{"", "-", "$sys/a", false},
		{"", "", "$sys/a", false},
	} {
		r := NewRules(&ACL{Subscribe: Lists{Allow: templates(t, c.allow), Deny: templates(t, c.deny)}})
		if got := r.Named(nil, core.MaySubscribe, []byte(c.topic), false); got != c.want {
			t.Errorf("allow %q, deny %q: %v", c.allow, c.deny, got)
		}
	}
	if NewRules(nil).Named(nil, core.MaySubscribe, []byte("$sys/a"), false) {
		t.Error("without lists it is named")
	}
}
