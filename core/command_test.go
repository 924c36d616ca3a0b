package core

import (
	"reflect"
	"testing"
	"time"
)

func TestCommandClone(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	c := Command{
		Verb: Offer, Ref: b("ref"), Topic: b("topic"), As: 3, Pattern: true, Channel: b("channel"), Exclusive: true, AsOwner: true,
		Services: [][]byte{b("one"), b(""), nil}, Topics: [][]byte{b("two"), nil}, NotToSelf: true, OneWay: true, Timeout: time.Second, Call: CallID{1},
		Payload: Payload{Kind: Text, Data: b("1"), UTF16: b("1\x00")}, Headers: b("{}"), Failure: Failure{Code: Gone, Text: "left"},
		Key: b("key"), Read: time.Second, Source: b("source"),
	}
	requireFilled(t, "Command", reflect.ValueOf(c))
	copied := c.Clone()
	if !reflect.DeepEqual(copied, c) {
		t.Fatalf("Clone = %+v, want %+v", copied, c)
	}
	requireOwned(t, "Command", reflect.ValueOf(c), reflect.ValueOf(copied))
}

func TestEventClone(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	e := Event{
		Kind: Failed, Verb: Call, Ref: b("ref"), Topic: b("topic"), As: 3, Call: CallID{1}, OneWay: true,
		Payload: Payload{Kind: Text, Data: b("1"), UTF16: b("1\x00")}, Headers: b("{}"), Unheard: true, Failure: Failure{Code: Gone, Text: "left"},
		Session: Session{Key: "key", Created: time.Unix(1, 0), LastLookup: time.Unix(2, 0), Info: b("{}")}, Reason: ReasonGone,
		Author: "wsify", Read: time.Second,
	}
	requireFilled(t, "Event", reflect.ValueOf(e))
	copied := e.Clone()
	if !reflect.DeepEqual(copied, e) {
		t.Fatalf("Clone = %+v, want %+v", copied, e)
	}
	requireOwned(t, "Event", reflect.ValueOf(e), reflect.ValueOf(copied))
	for _, room := range []int{0, 3, 100} {
		copied, memory := e.CloneInto(make([]byte, room))
		if !reflect.DeepEqual(copied, e) {
			t.Errorf("CloneInto %d bytes = %+v, want %+v", room, copied, e)
		}
		requireOwned(t, "Event", reflect.ValueOf(e), reflect.ValueOf(copied))
		if n := testing.AllocsPerRun(10, func() { _, memory = e.CloneInto(memory) }); n != 0 {
			t.Errorf("CloneInto what CloneInto returned allocates %v times", n)
		}
	}
}

// An absent slice and an empty one mean different things and stay different.
func TestCloneKeepsNilAndEmpty(t *testing.T) {
	if c := (Command{}).Clone(); !reflect.DeepEqual(c, Command{}) {
		t.Errorf("Clone of the zero command = %+v", c)
	}
	if e := (Event{}).Clone(); !reflect.DeepEqual(e, Event{}) {
		t.Errorf("Clone of the zero event = %+v", e)
	}
	c := Command{Ref: []byte{}, Topic: []byte{}, Services: [][]byte{}}.Clone()
	if c.Ref == nil || c.Topic == nil || c.Services == nil {
		t.Errorf("Clone made an empty slice nil: %+v", c)
	}
}

// requireFilled fails if a field of v, or of a struct in it, is zero: a field
// that is added later must be added to these tests too.
func requireFilled(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("the test leaves %s empty", path)
	}
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		return
	}
	for i := range v.NumField() {
		requireFilled(t, path+"."+v.Type().Field(i).Name, v.Field(i))
	}
}

// requireOwned walks both values and fails where they share memory.
func requireOwned(t *testing.T, path string, v, copied reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Type() != reflect.TypeFor[time.Time]() {
				requireOwned(t, path+"."+name, v.Field(i), copied.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() > 0 && v.UnsafePointer() == copied.UnsafePointer() {
			t.Errorf("%s is shared", path)
		}
		for i := range v.Len() {
			requireOwned(t, path+"[]", v.Index(i), copied.Index(i))
		}
	}
}

// A clone costs one allocation, however much there is to copy, and no slice of
// it can grow into the next.
func TestCloneIsOnePiece(t *testing.T) {
	ev := Event{Ref: []byte("ref"), Topic: []byte("topic"), Payload: Payload{Kind: Text, Data: []byte("1"), UTF16: []byte("1\x00")}}
	if n := testing.AllocsPerRun(100, func() { ev.Clone() }); n > 1 {
		t.Errorf("Event.Clone allocates %v times", n)
	}
	copied := ev.Clone()
	_ = append(copied.Ref, "more"...)
	if string(copied.Topic) != "topic" {
		t.Errorf("appending to Ref changed Topic to %q", copied.Topic)
	}
}
