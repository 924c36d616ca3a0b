package wubsub_test

import (
	"fmt"

	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/core"
)

// printer prints what a codec decodes.
type printer struct{}

func (printer) Do(c core.Command) { fmt.Printf("%s %s\n", c.Verb, c.Topic) }

func (printer) Refuse(r core.Reason, _ []byte, _ core.Failure) { fmt.Println("refused:", r) }

// A codec is bytes in, commands out, and events in, bytes out; it needs no connection.
func Example() {
	format, err := wubsub.Protocol().Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	codec := format.NewCodec()
	for _, message := range []string{`{"type":"ps-sub","channel":"news","topic":"today"}`, `{"type":"ps-subs"}`} {
		if err := codec.Decode(core.Frame{Kind: core.TextFrame, Data: []byte(message)}, printer{}); err != nil {
			fmt.Println(err)
		}
	}
	out, _, err := codec.Encode(nil, core.Event{Kind: core.Message, Topic: []byte("news/today"), Payload: core.Sniff([]byte(`{"n":1}`))})
	fmt.Println(string(out), err)
	// Output:
	// subscribe news/today
	// refused: unknown_type
	// {"type":"ps-recv","channel":"news","topic":"today","data":{"n":1}} <nil>
}
