package matrix

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// maxProbe bounds the contents with which sizes are tried, in bytes. What takes that takes more.
const maxProbe = 64 << 20

// sizes are the biggest contents, a text, that clients can say and hear.
type sizes struct {
	says, asks, answers    map[*row]int
	hears, asked, answered map[*row]int
	tooLarge               map[*row]Cell // what becomes of an answer that is too large for the caller
}

// newSizes tries each format alone: a content that its sender can say, and its receiver can hear, passes.
func newSizes(rows []*row) *sizes {
	s := &sizes{
		says: make(map[*row]int), asks: make(map[*row]int), answers: make(map[*row]int),
		hears: make(map[*row]int), asked: make(map[*row]int), answered: make(map[*row]int), tooLarge: make(map[*row]Cell),
	}
	most := 0
	for _, r := range rows {
		if r.client != nil {
			s.says[r] = r.room(func(p core.Payload) said { return publish(r, core.Command{Topic: []byte(r.topic()), Payload: p}) })
			s.asks[r] = r.room(func(p core.Payload) said {
				_, said := call(r, core.Command{Payload: p})
				return said
			})
			s.answers[r] = r.room(func(p core.Payload) said {
				b, said := answererOf(r)
				if said.ok {
					said = b.reply(p, core.Failure{})
				}
				return said
			})
			most = max(most, s.says[r], s.asks[r], s.answers[r])
		}
	}
	most = min(most, maxProbe)
	for _, r := range rows {
		if r.client != nil {
			s.hear(r, most)
		}
	}
	return s
}

// room returns the biggest text that a client can say, by what a short one takes; 0 if it can say none.
func (r *row) room(say func(core.Payload) said) int {
	short := say(text(samplePlain))
	if !short.ok {
		return 0
	}
	return max(0, r.MaxMessage-(len(short.frame.Data)-len(samplePlain)))
}

// hear tries what r takes of contents of up to most bytes.
func (s *sizes) hear(r *row, most int) {
	content := bytes.Repeat([]byte("x"), most)
	of := func(n int) core.Command {
		return core.Command{Topic: []byte(sampleTopic), Payload: core.Payload{Kind: core.Text, Data: content[:n]}}
	}
	s.hears[r] = largest(most, func(n int) bool { return delivered(r, of(n)).ok })
	s.asked[r] = largest(most, func(n int) bool { return asking(r)(of(n)).ok })
	end := func(n int) heard {
		a, said := call(r, core.Command{Payload: jsonOf(sampleObject)})
		if !said.ok {
			return heard{}
		}
		return a.end(of(n))
	}
	s.answered[r] = largest(most, func(n int) bool { return end(n).event.Kind == core.Answer })
	s.tooLarge[r] = Cell{Outcome: Dropped}
	if s.answered[r] < most {
		if h := end(s.answered[r] + 1); h.event.Kind == core.Failed {
			s.tooLarge[r] = Cell{Outcome: Refused, Detail: string(h.event.Failure.Code)}
		}
	}
}

// largest returns the biggest number up to most that passes, where all smaller ones do; 0 if none does.
func largest(most int, passes func(int) bool) int {
	if passes(most) {
		return most
	}
	low, high := 0, most // low passes, or is 0; high does not
	for high-low > 1 {
		if middle := low + (high-low)/2; passes(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// message returns the cell of the size of a message.
func (s *sizes) message(from, to *row) Cell {
	return sizeCell("message.size", s.says[from], s.hears[to], Dropped, "bigger ones are dropped")
}

// request returns the cell of the size of a request.
func (s *sizes) request(from, to *row) Cell {
	return sizeCell("request.size", s.asks[from], s.asked[to], Refused, "calls with bigger ones fail: internal")
}

// answer returns the cell of the size of an answer, to a caller of from.
func (s *sizes) answer(from, to *row) Cell {
	if s.asks[from] == 0 {
		return Cell{Property: "answer.size", Outcome: Unsayable}
	}
	why := s.tooLarge[from]
	detail := "bigger ones are dropped, and the call does not end"
	if why.Outcome == Refused {
		detail = "calls with bigger ones fail: " + why.Detail
	}
	return sizeCell("answer.size", s.answers[to], s.answered[from], why.Outcome, detail)
}

// sizeCell returns Whole if all that can be said can be heard, and else what becomes of the rest.
func sizeCell(property string, says, hears int, beyond Outcome, detail string) Cell {
	if says == 0 {
		return Cell{Property: property, Outcome: Unsayable}
	}
	if says <= hears || hears >= maxProbe {
		return Cell{Property: property, Outcome: Whole, Limit: says}
	}
	return Cell{Property: property, Outcome: beyond, Detail: detail, Limit: hears}
}
