package kafka_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafka"
)

func TestParseEndpoint(t *testing.T) {
	none := kafka.Properties{}
	for _, c := range []struct {
		in   string
		want kafka.Endpoint
	}{
		{"kafka://k1", kafka.Endpoint{Brokers: []string{"k1:9092"}, Properties: none}},
		{"kafka://k1:19092/flows", kafka.Endpoint{Brokers: []string{"k1:19092"}, Topic: "flows", Properties: none}},
		{"kafka://k1,k2:9093,k1:9092/flows", kafka.Endpoint{Brokers: []string{"k1:9092", "k2:9093"}, Topic: "flows", Properties: none}},
		{"kafka://[2001:db8::1]:9092,[2001:db8::2],2001:db8::3/flows", kafka.Endpoint{
			Brokers: []string{"[2001:db8::1]:9092", "[2001:db8::2]:9092", "[2001:db8::3]:9092"}, Topic: "flows", Properties: none,
		}},
		{"kafka-ssl://k1/t?acks=all&compression.type=lz4&key=src_addr,dst_addr&format=protobuf", kafka.Endpoint{
			Brokers: []string{"k1:9092"}, Topic: "t", TLS: true, Format: "protobuf", Key: []string{"src_addr", "dst_addr"},
			Properties: kafka.Properties{"acks": "all", "compression.type": "lz4"},
		}},
		{"kafka://k1/t?producers=4", kafka.Endpoint{Brokers: []string{"k1:9092"}, Topic: "t", Producers: 4, Properties: none}},
		{"kafka://k1?acks=1", kafka.Endpoint{Brokers: []string{"k1:9092"}, Properties: kafka.Properties{"acks": "1"}}},
		{"kafka://k1/?linger.ms=5", kafka.Endpoint{Brokers: []string{"k1:9092"}, Properties: kafka.Properties{"linger.ms": "5"}}},
		{"kafka:///flows", kafka.Endpoint{Topic: "flows", Properties: none}},
		{"kafka://k1/t?security.protocol=sasl_ssl&sasl.mechanism=scram-sha-512&sasl.username=u&sasl.password=a%26b+c%3D", kafka.Endpoint{
			Brokers: []string{"k1:9092"}, Topic: "t", TLS: true, Properties: kafka.Properties{
				"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "a&b+c=",
			},
		}},
		{"kafka://k1/t?sasl.jaas.config=a.PlainLoginModule required username=\"u\" password=\"p;/\";", kafka.Endpoint{
			Brokers: []string{"k1:9092"}, Topic: "t", Properties: kafka.Properties{"sasl.jaas.config": "a.PlainLoginModule required username=\"u\" password=\"p;/\";"},
		}},
		{"embedded:", kafka.Endpoint{Embedded: true, Properties: none}},
		{"embedded:/flows?format=json", kafka.Endpoint{Embedded: true, Topic: "flows", Format: "json", Properties: none}},
		// ntop's spelling.
		{"kafka://192.0.2.1:9092,192.0.2.2;topicFlows", kafka.Endpoint{Brokers: []string{"192.0.2.1:9092", "192.0.2.2:9092"}, Topic: "topicFlows", Properties: none}},
		{"kafka://k1;flows;acks=1,compression.codec=snappy,key=a,b", kafka.Endpoint{
			Brokers: []string{"k1:9092"}, Topic: "flows", Key: []string{"a", "b"}, Properties: kafka.Properties{"acks": "1", "compression.type": "snappy"},
		}},
		{"kafka://k1;flows;queue.buffering.max.ms=7;request.required.acks=-1", kafka.Endpoint{
			Brokers: []string{"k1:9092"}, Topic: "flows", Properties: kafka.Properties{"acks": "-1", "linger.ms": "7"},
		}},
	} {
		got, err := kafka.ParseEndpoint(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n got %+v\nwant %+v", c.in, got, c.want)
		}
		if !kafka.IsEndpoint(c.in) {
			t.Errorf("%s is not taken for an endpoint", c.in)
		}
		if back, err := kafka.ParseEndpoint(got.URL()); err != nil || !reflect.DeepEqual(back, got) {
			t.Errorf("%s is written %s and read %+v, %v", c.in, got.URL(), back, err)
		}
	}
}

func TestParseEndpointRefuses(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "allowed are kafka://"},
		{"k1:9092", "allowed are kafka://"},
		{"http://k1", "allowed are kafka://"},
		{"kafka:k1", "allowed are kafka://"},
		{"kafka://k1?key=a,", "key: bad value \"a,\": allowed are names of fields parted by commas"},
		{"kafka://k1?key=,a", "key: bad value"},
		{"kafka://k1?key=a,,b", "key: bad value"},
		{"kafka://k1:0", "ports from 1 to 65535"},
		{"kafka://k1:99999", "ports from 1 to 65535"},
		{"kafka://k1:x", "ports from 1 to 65535"},
		{"kafka://k1,,k2", "host:port"},
		{"kafka://[::1:9092", "[IPv6 address]:port"},
		{"kafka://[zz::1]:9092", "not an IPv6 address"},
		{"kafka://u:secret@k1/t", "sasl.username"},
		{"kafka://k1/a b", "a-z A-Z 0-9 . _ -"},
		{"kafka://k1/a/b", "a-z A-Z 0-9 . _ -"},
		{"kafka://k1/t?akcs=all", "unknown parameter akcs: allowed are format, key, producers and Kafka's acks,"},
		{"kafka://k1/t?acks=2", "acks: bad value \"2\": allowed are all, -1, 1, 0"},
		{"kafka://k1/t?acks", "has no value"},
		{"kafka://k1/t?acks=1&acks=0", "twice"},
		{"kafka://k1/t?linger.ms=-1", "milliseconds from 0"},
		{"kafka://k1/t?format=%zz", "percent-encoding"},
		{"kafka://k1/t?ssl.truststore.type=JKS", "PEM (openssl"},
		{"kafka-ssl://k1/t?security.protocol=PLAINTEXT", "contradict"},
		{"kafka://k1/t?security.protocol=SASL_SSL", "needs sasl.mechanism"},
		{"kafka://k1/t?sasl.mechanism=PLAIN&sasl.username=u", "sasl.password"},
		{"kafka://k1/t?sasl.jaas.config=nonsense", "LoginModule required"},
		{"kafka://k1/t?enable.idempotence=true&acks=1", "needs acks=all"},
		{"kafka://k1/t?bootstrap.servers=k2", "in front of the topic"},
		{"embedded://k1/t", "takes no host"},
		{"embedded:k1/t", "takes no host"},
		{"embedded:/t?security.protocol=SSL", "no TLS"},
	} {
		_, err := kafka.ParseEndpoint(c.in)
		if !errors.Is(err, kafka.ErrEndpoint) {
			t.Errorf("%s: error %v, want an ErrEndpoint", c.in, err)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, want one line that says %q", c.in, err, c.says)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the secret in it: %v", c.in, err)
		}
	}
}

func TestEndpointStringHidesSecrets(t *testing.T) {
	e, err := kafka.ParseEndpoint("kafka-ssl://k1/t?sasl.username=u&sasl.password=hunter2&key=proto&format=json")
	if err != nil {
		t.Fatal(err)
	}
	want := "kafka-ssl://k1:9092/t?sasl.password=***&sasl.username=u&key=proto&format=json"
	if got := e.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEndpointWith(t *testing.T) {
	e, err := kafka.ParseEndpoint("kafka:///flows?acks=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.ClientOptions(kafka.ClientConfig{}); !errors.Is(err, kafka.ErrEndpoint) {
		t.Errorf("an endpoint without brokers: %v", err)
	}
	e, err = e.With(kafka.Properties{"acks": "all", "linger.ms": "3", "bootstrap.servers": "k1:1,k2:2", "security.protocol": "SSL"})
	if err != nil {
		t.Fatal(err)
	}
	want := kafka.Endpoint{
		Brokers: []string{"k1:1", "k2:2"}, Topic: "flows", TLS: true,
		Properties: kafka.Properties{"acks": "1", "linger.ms": "3", "security.protocol": "SSL"},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("\n got %+v\nwant %+v", e, want)
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{
		"kafka://k1,k2:9093/flows?acks=all&key=a,b&format=json", "kafka-ssl://[::1]:9092,[::2]/t", "embedded:/x?linger.ms=1",
		"kafka://k;t;acks=1,compression.codec=lz4", "kafka://[\r]", "kafka://[\u00a0]", "kafka://::%#", "kafka://fe80::1%eth0", "kafka://k/t?sasl.jaas.config=XLoginModule required username=u password='p\\'q'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := kafka.ParseEndpoint(s)
		if err != nil {
			if !errors.Is(err, kafka.ErrEndpoint) {
				t.Fatalf("%q: %v is no ErrEndpoint", s, err)
			}
			return
		}
		for name := range e.Properties {
			if strings.Contains(name, "password") || strings.Contains(name, "jaas") || strings.HasSuffix(name, "keystore.key") {
				return // masked
			}
		}
		again, err := kafka.ParseEndpoint(e.String())
		if err != nil {
			t.Fatalf("%q: reads as %s, which does not read: %v", s, e, err)
		}
		if !reflect.DeepEqual(again, e) {
			t.Fatalf("%q:\n%+v reads again as\n%+v", s, e, again)
		}
	})
}
