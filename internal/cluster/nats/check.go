package nats

import (
	"context"
	"errors"
	"fmt"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// oldLevel is the level of JetStream's API before servers could limit the time of single keys.
const oldLevel = 0

// Check tries whether a node with these options could join, without joining: an external
// server is connected to and asked for JetStream; of an embedded one the ports and the folder
// are tried, which fails while a broker with the same options runs. It returns what is wrong
// and what can be done about it.
func Check(ctx context.Context, o Options) error {
	o, err := o.check()
	if err != nil {
		return err
	}
	if o.Embedded != nil {
		return o.Embedded.try()
	}
	options, err := o.clientOptions(ctx)
	if err != nil {
		return err
	}
	nc, err := natsgo.Connect(o.URL, options...)
	if err != nil {
		return explainConnect(err)
	}
	defer nc.Close()
	if !nc.HeadersSupported() {
		return errors.New("the NATS server is too old: it has no headers, version 2.11 is needed")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return explainJetStream(err)
	}
	if account.API.Level <= oldLevel {
		return explainJetStream(jetstream.ErrLimitMarkerTTLNotSupported)
	}
	if _, err := js.KeyValue(ctx, bucketNames{o.Prefix}.bucket()); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("opening the bucket of the channels: %w", explainJetStream(err))
	}
	return nil
}
