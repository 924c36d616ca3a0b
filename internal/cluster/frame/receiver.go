package frame

import (
	"slices"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Receiver does what the frames that come to a node ask for. Its fields are static; Receive is called on
// one goroutine.
type Receiver struct {
	// Mine are the names under which no other node can speak.
	Mine    []core.NodeID
	Nodes   *roster.Roster
	Syncs   *roster.Syncs
	Cluster core.Cluster
	Stats   *core.ClusterStats
	// Look looks at a record of sessions or users.
	Look func(name string)
	// Sync has a sync answered, behind all messages that have come before it. The frame owns its bytes.
	Sync func(Frame)
}

// Receive handles a frame that anybody may have sent. data is borrowed.
func (r *Receiver) Receive(data []byte) {
	f, err := Read(data)
	if err != nil || slices.Contains(r.Mine, f.From) {
		r.Stats.Refused.Inc(core.ReasonMalformed)
		return
	}
	switch f.Kind {
	case Describe:
		r.Nodes.Describe(f.From)
	case State:
		r.Nodes.State(f.Notice)
	case Taken:
		r.Nodes.Taken(core.NodeID(f.Notice))
	case Ask:
		r.count(data)
		r.Cluster.Asked(f.From, core.Question{Call: f.Call, Service: f.Service, Payload: f.Payload, Timeout: f.Timeout})
	case Answer:
		r.count(data)
		r.Cluster.Answered(f.From, f.Call, core.Outcome{Answer: f.Payload, Failure: f.Failure, Reason: f.Reason})
	case Cancel:
		r.Cluster.Cancelled(f.From, f.Call)
	case Look:
		r.Look(string(f.Notice))
	case Sync:
		r.Sync(f) // it has nothing of data
	case Synced:
		r.Syncs.Answered(f.Sync, f.From)
	}
}

func (r *Receiver) count(data []byte) {
	r.Stats.MessagesIn.Add(1)
	r.Stats.BytesIn.Add(uint64(len(data)))
}

// AskOf returns the frame of a call.
func AskOf(q core.Question) Frame {
	return Frame{Kind: Ask, Call: q.Call, Service: q.Service, Timeout: q.Timeout, Payload: q.Payload}
}

// AnswerOf returns the frame of how a call has ended.
func AnswerOf(call core.CallID, o core.Outcome) Frame {
	if o.Failure.Failed() {
		return Frame{Kind: Answer, Call: call, Failure: o.Failure, Reason: o.Reason}
	}
	return Frame{Kind: Answer, Call: call, Payload: o.Answer}
}
