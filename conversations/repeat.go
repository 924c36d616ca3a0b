package conversations

import "strconv"

// repeatStep is "repeat N STATEMENT", or "repeat N" with statements indented under
// it. Within it ${i} counts from 1.
type repeatStep struct {
	count int
	body  []statement
}

func (s *repeatStep) actor() string { return s.body[0].step.actor() }

func (s *repeatStep) play(p *Player) error {
	defer delete(p.vars, "i")
	for i := range s.count {
		p.vars["i"] = strconv.Itoa(i + 1)
		for _, inner := range s.body {
			if err := p.perform(inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeat parses the rest of "repeat".
func (p *parser) repeat(rest string, l *line) (step, error) {
	count, text := cutWord(rest)
	n, err := strconv.Atoi(count)
	body := []line{{number: l.number, text: text, block: l.block}}
	if text == "" {
		body = l.block
	}
	l.block = nil
	if err != nil || n < 1 || len(body) == 0 {
		return nil, wrong(`write "repeat 10 NAME > TEXT", or "repeat 10" and indent statements under it`,
			"%q is no repetition", l.text)
	}
	s := &repeatStep{count: n}
	for _, b := range body {
		if inner, ok := p.complete(b); ok {
			s.body = append(s.body, inner)
		}
	}
	return s, nil
}
