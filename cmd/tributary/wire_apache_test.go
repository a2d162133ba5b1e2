package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/internal/hold"
)

// apacheCluster is Apache Kafka on this machine.
type apacheCluster struct {
	dir     string
	port    int // of the first node
	brokers string
}

// kafkaScript runs scripts/kafka.sh. What it writes goes to a file: the nodes that
// it starts keep a pipe open.
func kafkaScript(t *testing.T, args ...string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var stderr bytes.Buffer
	c := exec.Command(filepath.Join(moduleRoot(t), "scripts", "kafka.sh"), args...)
	c.Stdout, c.Stderr, c.WaitDelay = out, &stderr, time.Second
	if err := c.Run(); err != nil && c.ProcessState != nil && !c.ProcessState.Success() {
		t.Fatalf("kafka.sh %s: %v: %s", args[0], err, stderr.String())
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// startApache starts a cluster. extra is given the number of each node and its port
// and returns more properties for it; format are more arguments for the command that
// formats.
func startApache(t *testing.T, nodes int, extra func(node, port int) string, format ...string) *apacheCluster {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil || os.Getenv("KAFKA_LIBS") == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS (scripts/kafka.sh libs) and java are missing")
		}
		t.Skip("needs java, and Apache Kafka in KAFKA_LIBS: KAFKA_LIBS=$(scripts/kafka.sh libs)")
	}
	c := &apacheCluster{dir: t.TempDir(), port: hold.Port(t, 1, 2, 10, 11, 12, 20, 21, 22)}
	files := map[string]string{"format.args": strings.Join(format, "\n") + "\n"}
	for n := range nodes {
		files[fmt.Sprintf("extra.%d.properties", n+1)] = extra(n+1, c.port+10*n)
	}
	for name, text := range files {
		if strings.TrimSpace(text) == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		// What is left of its data is not needed: there is nothing to wait for.
		for n := range nodes {
			c.kill(t, int32(n+1))
		}
		kafkaScript(t, "stop", c.dir)
	})
	c.brokers = kafkaScript(t, "start", c.dir, strconv.Itoa(nodes), strconv.Itoa(c.port))
	return c
}

// kill kills a node, if it still runs.
func (c *apacheCluster) kill(t *testing.T, node int32) {
	t.Helper()
	file := filepath.Join(c.dir, fmt.Sprintf("n%d.pid", node))
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil { // the number may become another's
		t.Error(err)
	}
}

// start starts a node again.
func (c *apacheCluster) start(t *testing.T, node int32) {
	t.Helper()
	kafkaScript(t, "node", c.dir, fmt.Sprint(node))
}

// selfSigned writes a certificate for 127.0.0.1, as a Java key store in PEM and by
// itself.
func selfSigned(t *testing.T) (store, cert string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	k := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	dir := t.TempDir()
	store, cert = filepath.Join(dir, "store.pem"), filepath.Join(dir, "cert.pem")
	for name, b := range map[string][]byte{store: append(k, c...), cert: c} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return store, cert
}

// TestWireApacheKafka is the whole way through Apache Kafka: in plain text, and as
// a Java client's properties file says, over TLS and SASL. Java's console consumer
// and ours read the same flow records.
func TestWireApacheKafka(t *testing.T) {
	check := flowChecker(t)
	store, cert := selfSigned(t)
	cluster := startApache(t, 1, func(_, port int) string {
		return fmt.Sprintf(`
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d,SASL_SSL://127.0.0.1:%[3]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,SASL_SSL://127.0.0.1:%[3]d
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=%[4]s
`, port, port+1, port+2, store)
	}, "--add-scram", "SCRAM-SHA-512=[name=collector,password=it's=a;secret]")
	properties := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(properties, fmt.Appendf(nil, `
bootstrap.servers=127.0.0.1:%d
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
  username="collector" password="it's=a;secret";
ssl.truststore.type=PEM
ssl.truststore.location=%s
compression.type=snappy
`, cluster.port+2, cert), 0o600); err != nil {
		t.Fatal(err)
	}
	capture := filepath.Join(captures.Dir(t), "flows", "nf9-softflowd-synscan-gen.pcap")
	const flows = 2002
	collector, address := startCollect(t, "--to", "kafka://"+cluster.brokers+"/json?format=json", "--to", "kafka://"+cluster.brokers+"?compression.type=zstd&acks=1")
	secure, secureAddress := startCollect(t, "--to", "kafka:///secure?format=packed", "--kafka-config", properties)
	for _, to := range []string{address, secureAddress} {
		tributary(t, "replay", "-r", capture, "--to", "udp://"+to, "--pace", "20k/s", "--quiet")
	}
	collector.ready(t)
	secure.ready(t)
	collector.stop(t)
	secure.stop(t)
	consume := func(t *testing.T, args ...string) []byte {
		return tributary(t, append([]string{"consume", "--from-beginning", "--exit-at-end", "--decode"}, args...)...)
	}
	t.Run("console consumer", func(t *testing.T) {
		out := kafkaScript(t, "run", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", cluster.brokers,
			"--topic", "json", "--from-beginning", "--max-messages", strconv.Itoa(flows), "--timeout-ms", "20000")
		check(t, capture, []byte(out))
	})
	t.Run("json", func(t *testing.T) { check(t, capture, consume(t, "json", "--kafka", "kafka://"+cluster.brokers)) })
	t.Run("protobuf", func(t *testing.T) { check(t, capture, consume(t, "flows", "--kafka", "kafka://"+cluster.brokers)) })
	t.Run("secure", func(t *testing.T) {
		check(t, capture, consume(t, "secure", "--kafka", "kafka://", "--kafka-config", properties))
	})
	t.Run("taught", func(t *testing.T) { restartByTopic(t, cluster.brokers) })
	t.Run("wrong password", func(t *testing.T) {
		c, _ := startCollect(t, "--to", fmt.Sprintf("kafka-ssl://127.0.0.1:%d/secure?ssl.ca.location=%s&sasl.mechanism=SCRAM-SHA-512&sasl.username=collector&sasl.password=wrong", cluster.port+2, cert), "--grace", "1s")
		eventually(t, "the log says why it is not ready", func() bool { return strings.Contains(c.log(), "SASL_AUTHENTICATION_FAILED") })
		if status, body := c.get(t, "/readyz"); status != 503 {
			t.Errorf("/readyz answers %d: %s", status, body)
		}
		if strings.Contains(c.log(), "wrong") {
			t.Error("the log has the password")
		}
		c.stop(t) // nothing is lost
	})
}
