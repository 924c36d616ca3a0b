package conversations

import "time"

// pauseStep is "pause DURATION". Recordings have it where a server has to notice what it does not answer.
type pauseStep struct{ wait time.Duration }

func (pauseStep) actor() string { return "" }

func (s pauseStep) play(p *Player) error {
	select {
	case <-p.ctx.Done():
		return p.ctx.Err()
	case <-time.After(p.script.slowed(s.wait)):
		return nil
	}
}
