package havre.lambda;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** How events become objects, and objects answers. */
final class Json {
    static final ObjectMapper PLAIN = JsonMapper.builder()
        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
        .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
        .disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET)
        .build();

    private static ObjectMapper events;

    private Json() {}

    /** The one for a type: AWS's own events have names and times that are written otherwise than their classes say. */
    static synchronized ObjectMapper of(JavaType type) {
        if (!type.getRawClass().getName().startsWith(Events.PACKAGE)) return PLAIN;
        if (events == null) {
            events = PLAIN.copy().registerModule(new Events());
            events.configure(MapperFeature.ACCEPT_CASE_INSENSITIVE_PROPERTIES, true);
            events.setAnnotationIntrospector(new Events.Aliases());
        }
        return events;
    }

    /** What reads and writes these is made while the function is initialised, when it has a whole processor. */
    static void prepare(JavaType input, JavaType output) {
        if (input != null) of(input).canDeserialize(input);
        if (output.getRawClass() != Void.TYPE) of(output).canSerialize(output.getRawClass());
    }
}
