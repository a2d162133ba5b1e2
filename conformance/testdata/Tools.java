import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of many of Apache Kafka's tools, one after the other, so that
 * the machine is started once for all. Each line on standard input is a call: the
 * class, what it reads, and its arguments, each in base64, spaces between them. Each
 * is answered with the status it ended with and what it wrote, in base64.
 */
public class Tools {
    /** Ended instead of the process. */
    static class Ended extends RuntimeException {
        final int status;

        Ended(int status) {
            super("status " + status, null, false, false);
            this.status = status;
        }
    }

    /**
     * Loads the tools anew for each call, because they keep what belongs to it in
     * static fields; what they use is the same for all.
     */
    static class Fresh extends URLClassLoader {
        Fresh(URL[] jars) {
            super(jars, Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.") && !name.startsWith("kafka.admin.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> c = findLoadedClass(name);
                return c != null ? c : findClass(name);
            }
        }
    }

    static volatile int exit;
    static volatile boolean exited;

    public static void main(String[] args) throws Exception {
        Exit.Procedure end = (status, message) -> {
            if (!exited) { // the first word counts: some catch it, and exit again
                exited = true;
                exit = status;
                if (message != null) {
                    System.err.println(message);
                }
            }
            throw new Ended(status);
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        List<URL> jars = new ArrayList<>();
        for (String path : System.getProperty("java.class.path").split(":")) {
            jars.add(Path.of(path).toUri().toURL());
        }
        PrintStream out = System.out;
        BufferedReader calls = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line; (line = calls.readLine()) != null; ) {
            List<String> words = new ArrayList<>();
            for (String word : line.split(" ", -1)) {
                words.add(new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8));
            }
            ByteArrayOutputStream wrote = new ByteArrayOutputStream();
            PrintStream both = new PrintStream(wrote, true, StandardCharsets.UTF_8);
            System.setIn(new ByteArrayInputStream(words.get(1).getBytes(StandardCharsets.UTF_8)));
            System.setOut(both);
            System.setErr(both);
            exited = false;
            exit = 0;
            try (Fresh loader = new Fresh(jars.toArray(new URL[0]))) {
                Thread.currentThread().setContextClassLoader(loader);
                Class<?> tool = loader.loadClass(words.get(0));
                tool.getMethod("main", String[].class).invoke(null, (Object) words.subList(2, words.size()).toArray(new String[0]));
            } catch (InvocationTargetException e) {
                if (!(e.getCause() instanceof Ended)) {
                    e.getCause().printStackTrace(both);
                    exit = 1;
                }
            }
            hooks.forEach(Runnable::run);
            hooks.clear();
            both.flush();
            out.println(exit + " " + Base64.getEncoder().encodeToString(wrote.toByteArray()));
            out.flush();
        }
    }
}
