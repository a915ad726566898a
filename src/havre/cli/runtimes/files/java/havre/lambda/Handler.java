package havre.lambda;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.type.TypeFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/** The function's method, by reflection: pkg.Class or pkg.Class::method. */
final class Handler {
    private static final byte[] NULL = "null".getBytes(StandardCharsets.US_ASCII);
    private static final int MOST = 3;

    private final Object target;
    private final Method method;
    private final JavaType input;
    private final JavaType output;
    private final CustomPojoSerializer custom;

    private Handler(Object target, Method method, JavaType input, JavaType output, CustomPojoSerializer custom) {
        this.target = target;
        this.method = method;
        this.input = input;
        this.output = output;
        this.custom = custom;
    }

    /** Throws Unready for what each invocation is told, anything else that the class throws while it is made. */
    static Handler find(String name, ClassLoader classes) throws Throwable {
        String[] parts = name.split("::", -1);
        if (parts.length > 2 || parts[0].isEmpty()) throw new Failures.Unready("Invalid handler: `" + name + "'", "java.lang.Exception");
        Class<?> type;
        try {
            type = Class.forName(parts[0], true, classes);
        } catch (ClassNotFoundException e) {
            throw new Failures.Unready("Class not found: " + parts[0], "java.lang.ClassNotFoundException");
        }
        boolean named = parts.length == 2;
        if (!named && !RequestHandler.class.isAssignableFrom(type) && !RequestStreamHandler.class.isAssignableFrom(type)) {
            throw new Failures.Unready("Class does not implement an appropriate handler interface: " + type.getName(), "java.lang.Exception");
        }
        Method method = method(type, named ? parts[1] : "handleRequest");
        Object target = Modifier.isStatic(method.getModifiers()) ? null : made(type);
        method.setAccessible(true);
        TypeFactory types = Json.PLAIN.getTypeFactory();
        JavaType owner = types.constructType(type);
        JavaType input = null;
        for (Type parameter : method.getGenericParameterTypes()) {
            if (isPojo(raw(types, owner, parameter))) input = types.resolveMemberType(parameter, owner.getBindings());
        }
        JavaType output = types.resolveMemberType(method.getGenericReturnType(), owner.getBindings());
        if (input != null && method.getDeclaringClass() != type) input = ofInterface(types, owner, method, input);
        CustomPojoSerializer custom = custom(classes);
        if (custom == null) Json.prepare(input, output);
        return new Handler(target, method, input, output, custom);
    }

    /** What a class higher up leaves open, and this one says. */
    private static JavaType ofInterface(TypeFactory types, JavaType owner, Method method, JavaType known) {
        JavaType declaring = owner.findSuperType(method.getDeclaringClass());
        if (declaring == null || known.getRawClass() != Object.class) return known;
        return types.resolveMemberType(method.getGenericParameterTypes()[0], declaring.getBindings());
    }

    private static Class<?> raw(TypeFactory types, JavaType owner, Type type) {
        return types.resolveMemberType(type, owner.getBindings()).getRawClass();
    }

    private static Object made(Class<?> type) throws Throwable {
        if (type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers())) {
            throw new Failures.Unready("Class " + type.getName() + " cannot be instantiated because it is a non-static inner class", "java.lang.Exception");
        }
        try {
            return type.getConstructor().newInstance();
        } catch (NoSuchMethodException e) {
            throw new Failures.Unready("Class " + type.getName() + " has no public zero-argument constructor", "java.lang.Exception");
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** Of several by that name: no bridge, and the one that takes most; a context at the end counts twice. */
    private static Method method(Class<?> type, String name) {
        List<Method> found = new ArrayList<>();
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name) && fits(method.getParameterTypes())) found.add(method);
        }
        found.sort(Comparator.comparing(Method::isBridge).thenComparing(m -> -weight(m.getParameterTypes())));
        if (found.isEmpty()) {
            throw new Failures.Unready("No public method named " + name + " with appropriate method signature found on class " + type.getName(),
                "java.lang.NoSuchMethodException");
        }
        return found.get(0);
    }

    private static int weight(Class<?>[] types) {
        return types.length + (types.length > 0 && types[types.length - 1] == Context.class ? 1 : 0);
    }

    /** An event or streams first, the context last. */
    private static boolean fits(Class<?>[] types) {
        if (types.length > MOST) return false;
        int at = 0;
        if (at < types.length && isPojo(types[at])) {
            at++;
        } else {
            if (at < types.length && types[at] == InputStream.class) at++;
            if (at < types.length && types[at] == OutputStream.class) at++;
        }
        if (at < types.length && types[at] == Context.class) at++;
        return at == types.length;
    }

    private static boolean isPojo(Class<?> type) {
        return type != InputStream.class && type != OutputStream.class && type != Context.class;
    }

    private static CustomPojoSerializer custom(ClassLoader classes) {
        for (CustomPojoSerializer found : ServiceLoader.load(CustomPojoSerializer.class, classes)) return found;
        return null;
    }

    /** The answer's bytes. Throws what the function throws. */
    byte[] call(byte[] event, Context context) throws Throwable {
        Class<?>[] types = method.getParameterTypes();
        Object[] given = new Object[types.length];
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        boolean streams = false;
        for (int i = 0; i < types.length; i++) {
            if (types[i] == Context.class) given[i] = context;
            else if (types[i] == InputStream.class) given[i] = new ByteArrayInputStream(event);
            else if (types[i] == OutputStream.class) given[i] = written;
            else given[i] = read(event);
            streams |= types[i] == OutputStream.class;
        }
        Object result;
        try {
            result = method.invoke(target, given);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        if (streams) return written.toByteArray();
        return output.getRawClass() == Void.TYPE ? NULL : answer(result);
    }

    private Object read(byte[] event) throws IOException {
        if (event.length == 0) return null;
        if (custom != null) return custom.fromJson(new ByteArrayInputStream(event), input);
        try {
            return Json.of(input).readValue(event, input);
        } catch (IOException e) {
            throw new IllegalArgumentException("An error occurred during JSON parsing", e);
        }
    }

    private byte[] answer(Object result) throws IOException {
        if (result == null) return NULL;
        if (custom != null) {
            ByteArrayOutputStream written = new ByteArrayOutputStream();
            custom.toJson(result, written, output);
            return written.toByteArray();
        }
        try {
            return Json.of(Json.PLAIN.constructType(result.getClass())).writeValueAsBytes(result);
        } catch (IOException e) {
            throw new IllegalArgumentException("An error occurred during JSON serialization of response", e);
        }
    }
}
