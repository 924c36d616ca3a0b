package conversations

import (
	"fmt"
	"slices"
	"time"
)

// answersStep is "NAME answers COMMAND …".
type answersStep struct {
	name, command string
	answer        answer
}

func (s *answersStep) actor() string { return "" }

func (s *answersStep) play(p *Player) error {
	a := s.answer
	a.after = p.script.slowed(a.after)
	a.headers = slices.Clone(a.headers)
	for i := range a.headers {
		value, err := p.vars.expand(a.headers[i].value)
		if err != nil {
			return err
		}
		a.headers[i].value = value
	}
	p.webhooks[s.name].answer(s.command, a)
	return nil
}

// releaseStep is "NAME release".
type releaseStep struct{ name string }

func (s *releaseStep) actor() string { return "" }

func (s *releaseStep) play(p *Player) error {
	p.webhooks[s.name].release()
	return nil
}

// gotStep is "NAME got PATTERN".
type gotStep struct {
	name, pattern string
	headers       []field
}

func (s *gotStep) actor() string { return "" }

func (s *gotStep) play(p *Player) error {
	pattern, err := p.vars.expand(s.pattern)
	if err != nil {
		return err
	}
	select {
	case got := <-p.webhooks[s.name].got:
		asked := &answered{header: got.header, body: []byte(got.body)}
		want := &reply{headers: s.headers}
		if why := matchText(pattern, got.body, p.vars); why != "" {
			return &mismatch{expected: pattern, arrived: got.method + " " + showText(asked.body), why: why}
		}
		return want.match(asked, p)
	case <-time.After(p.script.Timeout):
		return &mismatch{expected: pattern, arrived: fmt.Sprintf("nothing within %v", p.script.Timeout)}
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// notAskedStep is "NAME silence [DURATION]" of a webhook.
type notAskedStep struct {
	name string
	wait time.Duration
}

func (s *notAskedStep) actor() string { return "" }

func (s *notAskedStep) play(p *Player) error {
	select {
	case got := <-p.webhooks[s.name].got:
		return &mismatch{expected: "no request", arrived: got.method + " " + shorten(got.body)}
	case <-time.After(p.script.slowed(s.wait)):
		return nil
	}
}
