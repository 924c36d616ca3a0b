package conversations

import "errors"

// stopStep is "broker stop".
type stopStep struct{}

func (stopStep) actor() string { return "" }

func (stopStep) play(p *Player) error {
	if p.Stop == nil {
		return errors.New("a script cannot stop this server: play it without --url, against a broker of its own")
	}
	return p.Stop()
}
