package engine

import (
	"slices"
	"strings"

	"github.com/polywire/polywire/core"
)

const (
	// maxRefusedCommands is how many different refusals of a connection are remembered.
	maxRefusedCommands = 4
	// maxRefusedText bounds what is remembered of a topic, and of a text, in bytes.
	maxRefusedText = 128
)

// refusedCommands are what a connection has asked for lately and did not get. Owned by the loop.
type refusedCommands [maxRefusedCommands]core.RefusedCommand // Count is 0 where there is none

// rememberRefused remembers what the client was refused. On the loop.
func (p *peer) rememberRefused(v core.Verb, topic []byte, r refusal) {
	if p.gone {
		return
	}
	x := p.ensureRare()
	if x.refused == nil {
		x.refused = new(refusedCommands)
	}
	x.refused.add(v, topic, r)
	x.refused[0].Last = p.engine.now()
}

// add puts a refusal in front. What is refused again and again takes no memory, and hides nothing else.
func (l *refusedCommands) add(v core.Verb, topic []byte, r refusal) {
	topic = topic[:min(len(topic), maxRefusedText)]
	i := slices.IndexFunc(l[:], func(one core.RefusedCommand) bool {
		return one.Count > 0 && one.Verb == v && one.Reason == r.reason && one.Topic == string(topic)
	})
	if i < 0 {
		i = len(l) - 1
		l[i] = core.RefusedCommand{
			Verb: v, Topic: string(topic), Reason: r.reason, Why: strings.Clone(r.Text[:min(len(r.Text), maxRefusedText)]),
		}
	}
	one := l[i]
	copy(l[1:i+1], l[:i])
	one.Count++
	l[0] = one
}

// list returns them, the last one first. l may be nil.
func (l *refusedCommands) list() (some []core.RefusedCommand) {
	if l == nil {
		return nil
	}
	for _, one := range l {
		if one.Count > 0 {
			some = append(some, one)
		}
	}
	return some
}

// WasRefused returns the last refusal of a command about a topic.
func (p *peer) WasRefused(v core.Verb, topic string) core.RefusedCommand {
	if p.rare == nil || p.rare.refused == nil {
		return core.RefusedCommand{}
	}
	for _, one := range p.rare.refused {
		if one.Count == 0 || one.Verb != v {
			continue
		}
		if one.Topic == topic[:min(len(topic), maxRefusedText)] || v == core.Subscribe && core.MatchPattern(one.Topic, []byte(topic)) {
			return one
		}
	}
	return core.RefusedCommand{}
}
