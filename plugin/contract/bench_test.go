package contract_test

import (
	"bytes"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// noSteps takes steps and does nothing with them.
type noSteps struct{ frame core.Frame }

func (s *noSteps) Room() *core.Frame                                    { return &s.frame }
func (*noSteps) Command(core.Command, *core.Frame)                      {}
func (*noSteps) Refusal(core.Reason, []byte, core.Failure, *core.Frame) {}

// BenchmarkEcho measures what an echo through a plugin costs both sides in this package.
func BenchmarkEcho(b *testing.B) {
	frame := core.Frame{Kind: core.TextFrame, Data: bytes.Repeat([]byte("x"), 128)}
	var question, answer []byte
	b.Run("ask", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			question = contract.AppendDecode(question[:0], 4711, frame)
		}
	})
	b.Run("read question", func(b *testing.B) {
		b.ReportAllocs()
		var q contract.Question
		for b.Loop() {
			e := contract.ElementsOf(question)
			e.Next()
			if err := contract.ReadQuestion(e.Bytes(), &q); err != nil || q.Conn != 4711 {
				b.Fatal(err)
			}
		}
	})
	b.Run("answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a := contract.BeginAnswer(answer[:0])
			a.Command(&core.Command{Verb: core.Ping, Ref: frame.Data, As: 1}, &frame)
			answer = a.End()
		}
	})
	b.Run("read answer", func(b *testing.B) {
		b.ReportAllocs()
		steps := new(noSteps)
		for b.Loop() {
			e := contract.ElementsOf(answer)
			e.Next()
			if _, err := contract.ReadAnswer(e.Bytes(), steps); err != nil || len(steps.frame.Data) != 128 {
				b.Fatal(err)
			}
		}
	})
}
