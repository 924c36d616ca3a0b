// Package tracing records what the broker does as spans of OpenTelemetry, and sends them to a collector (OTLP, over
// gRPC or HTTP). What belongs to a trace of somebody else is recorded if that trace is; of what does not, a share is.
//
// A span never waits: if the collector is slow or away, spans beyond a bound are dropped and counted.
package tracing
