package plugin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// bufferSize is how much is read from or written to the plugin's socket at once: a whole
// batch.
const bufferSize = 128 << 10

// maxAnswers bounds an Answers message: a process that sends a bigger one is ended. No
// Questions message needs a bigger one.
const maxAnswers = 2 * fullBytes

// flowWindow is how many bytes may be in flight in one direction before gRPC waits for the
// reader.
const flowWindow = 4 << 20

// process is one running plugin.
type process struct {
	// Static after construction.
	client *goplugin.Client
	codec  codecpb.CodecClient
	pid    int
	dir    string // of its socket
	output *output

	ended sync.Once
}

// start starts the program and waits until it is ready. On Linux the process ends with the
// thread that calls start, so the caller must own that thread.
func start(o Options, log *slog.Logger) (*process, error) {
	path, err := findProgram(o.Command[0])
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "polywire-plugin-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the plugin's socket: %w", err)
	}
	p := &process{dir: dir, output: newOutput(log)}
	cmd := exec.Command(path, o.Command[1:]...)
	cmd.Env = append(os.Environ(), goplugin.EnvUnixSocketDir+"="+dir)
	for name, value := range o.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	bind(cmd)
	config, err := p.config(cmd, o)
	if err != nil {
		p.end()
		return nil, err
	}
	p.client = goplugin.NewClient(config)
	if err := p.connect(cmd, o.StartTimeout); err != nil {
		p.end()
		return nil, p.explain(err)
	}
	return p, nil
}

// config returns how go-plugin is to run cmd.
func (p *process) config(cmd *exec.Cmd, o Options) (*goplugin.ClientConfig, error) {
	c := &goplugin.ClientConfig{
		HandshakeConfig:  contract.Handshake(),
		Plugins:          goplugin.PluginSet{contract.Name: dispenser{}},
		Cmd:              cmd,
		SkipHostEnv:      true, // it is in cmd already, before what was added
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		StartTimeout:     o.StartTimeout,
		AutoMTLS:         o.MTLS,
		Logger:           hclog.NewNullLogger(),
		Stderr:           p.output, SyncStdout: newOutput(p.output.log), SyncStderr: newOutput(p.output.log),
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithInitialWindowSize(flowWindow), grpc.WithInitialConnWindowSize(flowWindow), grpc.WithDisableRetry(),
			grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		},
	}
	sum, err := parseChecksum(o.Checksum)
	if err != nil {
		return nil, err
	}
	if sum != nil {
		c.SecureConfig = &goplugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	}
	return c, nil
}

// connect starts the process and its gRPC channel.
func (p *process) connect(cmd *exec.Cmd, timeout time.Duration) error {
	if _, err := p.client.Start(); err != nil {
		if cmd.Process != nil {
			p.pid = cmd.Process.Pid
		}
		return err
	}
	p.pid = cmd.Process.Pid
	// go-plugin's requests from here on have no deadline of their own.
	late := time.AfterFunc(timeout, p.kill)
	defer late.Stop()
	channel, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := channel.Dispense(contract.Name)
	if err != nil {
		return err
	}
	p.codec = raw.(codecpb.CodecClient)
	return nil
}

// explain puts an error of go-plugin into our own words, with the last output of the
// plugin.
func (p *process) explain(err error) error {
	if errors.Is(err, goplugin.ErrChecksumsDoNotMatch) {
		return errors.New("the program has another checksum than the configuration says")
	}
	// findProgram knows what go-plugin only guesses.
	text, _, _ := strings.Cut(err.Error(), "\nThis usually means")
	text = strings.Join(strings.Fields(text), " ")
	if last := p.output.last(); last != "" {
		return fmt.Errorf("starting it: %s; the last that it said: %s", text, last)
	}
	return fmt.Errorf("starting it: %s", text)
}

// describe asks the plugin what it is.
func (p *process) describe(o Options, r *codecpb.DescribeRequest) (*codecpb.Description, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.StartTimeout)
	defer cancel()
	r.Contract = contract.Version
	d, err := p.codec.Describe(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("asking for its description: %w", err)
	}
	return d, checkDescription(d)
}

// kill ends the process, and what it has started, at once. Any goroutine.
func (p *process) kill() {
	if p.pid > 0 {
		// The only error is that there is nothing left to kill.
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// end kills the process and removes what is left of it. A plugin keeps nothing that needs
// a graceful shutdown. Any goroutine; it may be called again.
func (p *process) end() {
	p.ended.Do(func() {
		p.kill()
		if p.client != nil {
			p.client.Kill()
		}
		_ = os.RemoveAll(p.dir)
	})
}

// dispenser makes the client of the service.
type dispenser struct {
	goplugin.NetRPCUnsupportedPlugin
}

var _ goplugin.GRPCPlugin = dispenser{}

// GRPCServer fails: the server is the plugin's side.
func (dispenser) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host is no plugin")
}

// GRPCClient returns the client of the service.
func (dispenser) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return codecpb.NewCodecClient(conn), nil
}

// stream carries questions and answers.
type stream = grpc.ClientStream

// translate opens the stream.
func (p *process) translate(ctx context.Context) (stream, error) {
	buffers := new(contract.Buffers)
	return p.codec.Translate(ctx, grpc.ForceCodecV2(contract.GRPCCodec(buffers)), grpc.MaxCallRecvMsgSize(maxAnswers))
}
