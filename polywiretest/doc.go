// Package polywiretest runs a broker within a program's tests, and clients of its formats.
//
//	b := polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{
//		{Name: "web", Protocol: "wsify"},
//		{Name: "bots", Protocol: "wubsub"},
//	}})
//	b.Handle("greet", greet)
//	web, bot := b.Connect("web"), b.Connect("bots")
//	web.Subscribe("news")
//	…
//	web.Expect("news", `{"n":1}`)
//
// A broker listens at free ports of the loopback interface, is up in about a millisecond, logs to the test, and
// ends with it. Nothing sleeps or depends on the speed of the machine: what a client has said is in force when its
// method returns, and what has to come is waited for, up to Patience. What goes wrong fails the test, with what was
// heard instead.
//
// There is no way to expect that nothing comes, because it may come later. Publish something that the client
// hears, and expect that next: messages of one publisher keep their order.
//
// Methods that take no error back fail the test, so they are for its goroutine, as t.FailNow is.
package polywiretest
