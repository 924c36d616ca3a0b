// Package admin serves what operators and their tools ask: /metrics in the
// Prometheus format, /livez and /readyz. It has a listener of its own, apart
// from the clients', and knows the broker only through [Source].
package admin
