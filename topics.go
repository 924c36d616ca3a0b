package polywire

import (
	"context"
	"fmt"
	"iter"

	"github.com/polywire/polywire/core"
)

// Topics lists the topics and patterns that clients of this broker hear, and how many subscriptions each has, in no
// order; those that come or go meanwhile may be missing. The error, with which the list ends, is that of ctx, or that
// the broker does not run.
//
// All topics are looked at, under a lock that publishers read under too and that is given back every 50 µs; none is
// held while the caller looks at what it got. Handlers and hooks may call it.
func (b *Broker) Topics(ctx context.Context) iter.Seq2[core.TopicInfo, error] {
	return func(yield func(core.TopicInfo, error) bool) {
		err := b.life.running()
		enough := false
		if err == nil {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			err = b.parts.Engine.ListTopics(ctx, func(one core.TopicInfo) {
				if !enough && !yield(one, nil) {
					enough = true
					cancel()
				}
			})
		}
		if err != nil && !enough {
			yield(core.TopicInfo{}, fmt.Errorf("listing topics: %w", err))
		}
	}
}

// Audience returns by which topics and patterns a message on topic, written with the prefix of an endpoint if it has
// one, would be heard at this broker now, and how many of each endpoint hear it: nobody if the slice is empty. Who
// hears it by several of them counts for each. The slice is the caller's; errors are those of Topics.
func (b *Broker) Audience(ctx context.Context, topic string) ([]core.HeardTopic, error) {
	err := b.life.running()
	var all []core.HeardTopic
	if err == nil {
		all, err = b.parts.Engine.TopicAudience(ctx, topic)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for who hears %q: %w", topic, err)
	}
	return all, nil
}
