package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// replicas is how many servers keep a replicated bucket, and replicasPatience how long a new
	// cluster waits until it has so many.
	replicas         = 3
	replicasPatience = 10 * time.Second
	// growPause is how often it is tried to replicate a bucket that is not.
	growPause = 10 * time.Second
)

// enough reports whether a cluster may have enough servers to replicate; 0 is not known.
func enough(servers int) bool { return servers == 0 || servers >= replicas }

// grows reports whether a bucket is to be replicated as soon as there are enough servers.
func grows(info *jetstream.StreamInfo, servers int) bool {
	return info.Config.Replicas < replicas && info.Cluster != nil && info.Cluster.Name != "" && enough(servers)
}

// createReplicated creates a bucket by create, replicated if the cluster, which this node joined then,
// has enough servers for it, or will have them soon. A cluster that begins with fewer servers can be used
// nevertheless; who opens the bucket later replicates it.
func createReplicated[T any](servers int, joined time.Time, create func(n int) (T, error)) (T, error) {
	if enough(servers) {
		made, err := create(replicas)
		_, refused := errors.AsType[*jetstream.APIError](err)
		if !refused || servers >= replicas && time.Since(joined) < replicasPatience {
			return made, err
		}
	}
	return create(1)
}

// replicate replicates a bucket by update. If there are not enough servers that fails, and does no harm.
func replicate(ctx context.Context, update func(context.Context) error) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	return update(ctx) == nil
}
