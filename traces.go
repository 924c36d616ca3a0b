package polywire

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/polywire/polywire/internal/admin"
)

type (
	// MessageTrace says who would hear a message and who not, in the answers of the admin server; docs/admin.md.
	MessageTrace = admin.MessageTrace
	// ServiceTrace says who would answer a call.
	ServiceTrace = admin.ServiceTrace
	// Diagnosis says why a client hears nothing.
	Diagnosis = admin.Diagnosis
	// NodeAudience is who hears a topic at another node of the cluster.
	NodeAudience = admin.NodeAudience
	// TraceQuery is a message that nobody publishes, or a call that nobody makes.
	TraceQuery = admin.TraceQuery
	// Step is something that was looked at.
	Step = admin.Step
)

// Trace says who would hear a message and who not, and why, and whether it may be published at all. Nothing is
// published, and clients are not held up; traces are made one at a time. The error is that of ctx,
// [core.ErrNoConnection], [core.ErrNoEndpoint], that the query makes no sense, or that the broker does not run. Any
// goroutine but those of hooks that loops wait for.
func (b *Broker) Trace(ctx context.Context, q TraceQuery) (*MessageTrace, error) {
	err := b.life.running()
	var trace *MessageTrace
	if err == nil {
		trace, err = b.operators.Trace(ctx, q)
	}
	if err != nil {
		return nil, fmt.Errorf("tracing a message on %q: %w", q.Topic, err)
	}
	return trace, nil
}

// TraceCall says who would answer a call to the service that Topic names, and who would not. Nobody is asked. Errors
// are those of Trace.
func (b *Broker) TraceCall(ctx context.Context, q TraceQuery) (*ServiceTrace, error) {
	err := b.life.running()
	var trace *ServiceTrace
	if err == nil {
		trace, err = b.operators.TraceCall(ctx, q)
	}
	if err != nil {
		return nil, fmt.Errorf("tracing a call of %q: %w", q.Topic, err)
	}
	return trace, nil
}

// DoctorQuery is a client that hears nothing.
type DoctorQuery struct {
	// Connection is the number of its connection, which may have ended, to any node of a cluster; 0 is unknown. Then
	// From are the addresses that it may have, as those of ClientFilter, of connections to this broker.
	Connection uint64
	From       netip.Prefix
	// Topic is what it should hear, as the client names it; "" is anything.
	Topic string
}

// Doctor says why a client hears nothing: it walks through all that decides that, and finds the most likely cause.
// Errors are those of Trace.
func (b *Broker) Doctor(ctx context.Context, q DoctorQuery) (*Diagnosis, error) {
	err := b.life.running()
	var d *Diagnosis
	if err == nil {
		d, err = b.operators.Diagnose(ctx, admin.DoctorQuery{Connection: q.Connection, From: admin.From{Network: q.From}, Topic: q.Topic})
	}
	if err != nil {
		return nil, fmt.Errorf("examining a client: %w", err)
	}
	return d, nil
}
