package conversations

import (
	"fmt"
	"net/http"
	"slices"
)

// reply is the HTTP answer that a script expects. The zero value accepts any answer.
type reply struct {
	// status is the expected status; 0 is any.
	status int
	// headers must be present, absent must not.
	headers []field
	absent  []string
	// body is a text pattern; nil is any body.
	body *string
}

// String describes the reply for reports.
func (r *reply) String() string {
	if r.status == 0 {
		return "an HTTP answer"
	}
	return fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
}

// match compares an answer with the reply; the error is a *mismatch.
func (r *reply) match(a *answered, p *Player) error {
	if r.status != 0 && r.status != a.status {
		return &mismatch{expected: r.String(), arrived: a.String()}
	}
	for _, f := range r.headers {
		pattern, err := p.vars.expand(f.value)
		if err != nil {
			return err
		}
		values := a.header.Values(f.name)
		matches := func(value string) bool { return matchPlain(pattern, value, p.vars) == "" }
		if !slices.ContainsFunc(values, matches) {
			return &mismatch{
				expected: fmt.Sprintf("%v with %s: %s", r, f.name, pattern),
				arrived:  a.String(),
				why:      fmt.Sprintf("%s is %q", f.name, values),
			}
		}
	}
	for _, name := range r.absent {
		if values := a.header.Values(name); len(values) > 0 {
			return &mismatch{
				expected: fmt.Sprintf("%v without %s", r, name),
				arrived:  a.String(),
				why:      fmt.Sprintf("%s is %q", name, values),
			}
		}
	}
	return r.matchBody(a, p)
}

func (r *reply) matchBody(a *answered, p *Player) error {
	if r.body == nil {
		return nil
	}
	pattern, err := p.vars.expand(*r.body)
	if err != nil {
		return err
	}
	if why := matchText(pattern, string(a.body), p.vars); why != "" {
		return &mismatch{expected: fmt.Sprintf("%v with body %q", r, pattern), arrived: a.String(), why: why}
	}
	return nil
}
