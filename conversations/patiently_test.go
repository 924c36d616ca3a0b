package conversations

import (
	"errors"
	"testing"
	"time"
)

// TestPatiently: a script that gives times is played with longer ones until it succeeds; another is
// played once.
func TestPatiently(t *testing.T) {
	const timed = "---\nendpoints: [{name: e, protocol: echo, listen: \"127.0.0.1:0\", idle_timeout: ${time 300ms}}]\n---\nconnect a e\n"
	otherwise := &Failure{Err: errors.New("too late")}
	for _, c := range []struct {
		name, script string
		err          error
		from         time.Duration // the slowness at which it succeeds
		played       int
		fails        bool
	}{
		{"in time", timed, otherwise, 300 * time.Millisecond, 1, false},
		{"on a busy machine", timed, otherwise, 2 * time.Second, 4, false},
		{"never", timed, otherwise, time.Hour, 7, true},
		{"another fault", timed, errors.New("no server"), time.Hour, 1, true},
		{"without times", "connect a e\n", otherwise, time.Hour, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse("script", []byte(c.script))
			if err != nil {
				t.Fatal(err)
			}
			played := 0
			err = Patiently(s, func(s *Script) error {
				played++
				p, err := NewPlayer(s, nil)
				if err != nil {
					t.Fatal(err)
				}
				text, err := p.vars.expand("${time 300ms}")
				if err != nil {
					t.Fatal(err)
				}
				if d, err := time.ParseDuration(text); err != nil || d != s.slowed(300*time.Millisecond) {
					t.Errorf("the time is %s, %v", text, err)
				} else if d >= c.from {
					return nil
				}
				return c.err
			})
			if played != c.played || (err != nil) != c.fails {
				t.Errorf("played %d times, want %d; error %v", played, c.played, err)
			}
		})
	}
}
