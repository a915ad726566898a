package havre.lambda;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The function's own classes. It sees Java's, AWS's interfaces and agents, but not what this client is made of: a function
 * may bring another version of it. */
final class FunctionClasses extends URLClassLoader {
    private static final String[] HIDDEN = {"com.fasterxml.jackson.", "havre.lambda."};

    static {
        ClassLoader.registerAsParallelCapable();
    }

    private final ClassLoader runtime = ClassLoader.getSystemClassLoader();

    FunctionClasses(String task, String layers) throws MalformedURLException {
        super(places(task, layers), ClassLoader.getPlatformClassLoader());
    }

    private static URL[] places(String task, String layers) throws MalformedURLException {
        List<URL> found = new ArrayList<>();
        found.add(new File(task + "/").toURI().toURL());
        for (String directory : new String[] {task + "/lib", layers + "/lib"}) {
            File[] jars = new File(directory).listFiles((at, name) -> name.endsWith(".jar"));
            if (jars == null) continue;
            Arrays.sort(jars);
            for (File jar : jars) found.add(jar.toURI().toURL());
        }
        return found.toArray(new URL[0]);
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        for (String hidden : HIDDEN) {
            if (name.startsWith(hidden)) return super.loadClass(name, resolve);
        }
        try {
            return runtime.loadClass(name);
        } catch (ClassNotFoundException e) {
            return super.loadClass(name, resolve);
        }
    }
}
