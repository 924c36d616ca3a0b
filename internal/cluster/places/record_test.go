package places

import (
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// What is written is read again, with the information of the session as it is.
func TestRecords(t *testing.T) {
	now := time.Unix(1_700_000_000, 5).UTC()
	r := &record{Created: now, Lookup: now, Places: map[core.NodeID]int{"n-a-1": 2}, info: []byte(`{"a": "<\n", "n": 1e400}`)}
	r.use(now, time.Hour)
	got, err := decode(r.encode())
	if err != nil || !got.Created.Equal(now) || !got.Expires.Equal(now.Add(time.Hour)) || got.MaxAge != time.Hour ||
		got.Places["n-a-1"] != 2 || string(got.info) != string(r.info) {
		t.Errorf("read %+v, %v", got, err)
	}
	if r.over(now.Add(time.Hour-1)) || !r.over(now.Add(time.Hour)) || new(record).over(now) {
		t.Error("its time is up at another moment")
	}
	if ttl := r.ttl(now.Add(2 * time.Hour)); ttl < time.Second {
		t.Errorf("it is kept for %v", ttl)
	}
}

// Anybody may have written a record.
func TestForeignRecords(t *testing.T) {
	for _, value := range []string{
		"", "\n", "{}", "null", "x\n", "[]\n", `{"places":{"n-a":0}}` + "\n", `{"places":{"n-a":-1}}` + "\n", `{"places":{"n-a":3000000000}}` + "\n",
		`{"places":{"n a":1}}` + "\n", `{"places":{"":1}}` + "\n", `{"places":{"n-a":1e400}}` + "\n", `{"created":"yesterday"}` + "\n", "{}\n{", "{}\n{}x",
		"{}\n" + `"` + strings.Repeat("x", MaxRecord) + `"`,
	} {
		if r, err := decode([]byte(value)); err == nil {
			t.Errorf("%.40q is %+v", value, r)
		}
	}
	if _, err := decode([]byte("{}\n")); err != nil {
		t.Errorf("a record without anything: %v", err)
	}
}

// A name says nothing of the key, and nobody gets at the record of a user by a session.
func TestNames(t *testing.T) {
	session, user := nameOf(sessionNames, "key"), nameOf(userNames, "key")
	for _, name := range []string{session, user} {
		if strings.Contains(name, "key") || len(name) > 80 {
			t.Errorf("a record is called %q", name)
		}
	}
	if strings.TrimPrefix(session, sessionNames) == strings.TrimPrefix(user, userNames) || session == nameOf(sessionNames, "key2") {
		t.Error("two records have one name")
	}
}
