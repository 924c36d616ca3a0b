// Package clustertest is the suite that every [core.Backplane] passes.
//
// [Run] plays nodes against the real engine, which the test of an implementation starts. It
// waits for states and never for times; it checks on the way that the engine is called as
// [core.Cluster] says.
package clustertest
