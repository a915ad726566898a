package havre.lambda;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.DeserializationConfig;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.PropertyName;
import com.fasterxml.jackson.databind.deser.Deserializers;
import com.fasterxml.jackson.databind.deser.ValueInstantiator;
import com.fasterxml.jackson.databind.deser.ValueInstantiators;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.introspect.Annotated;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.std.ToStringSerializer;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import sun.reflect.ReflectionFactory;

/** The classes of aws-lambda-java-events: times in seconds, Joda's times, classes that nobody can make by a constructor. */
final class Events extends SimpleModule {
    private static final long serialVersionUID = 1;
    static final String PACKAGE = "com.amazonaws.services.lambda.runtime.events.";
    private static final String TIME = "org.joda.time.DateTime";

    Events() {
        addDeserializer(Date.class, new Seconds());
    }

    @Override
    public void setupModule(SetupContext context) {
        super.setupModule(context);
        context.addDeserializers(new Deserializers.Base() {
            @Override
            public JsonDeserializer<?> findBeanDeserializer(JavaType type, DeserializationConfig config, BeanDescription bean) {
                return type.getRawClass().getName().equals(TIME) ? new Joda(type.getRawClass()) : null;
            }
        });
        context.addSerializers(new com.fasterxml.jackson.databind.ser.Serializers.Base() {
            @Override
            public com.fasterxml.jackson.databind.JsonSerializer<?> findSerializer(
                    com.fasterxml.jackson.databind.SerializationConfig config, JavaType type, BeanDescription bean) {
                return type.getRawClass().getName().equals(TIME) ? ToStringSerializer.instance : null;
            }
        });
        context.addValueInstantiators(new ValueInstantiators.Base() {
            @Override
            public ValueInstantiator findValueInstantiator(DeserializationConfig config, BeanDescription bean, ValueInstantiator usual) {
                boolean ours = bean.getBeanClass().getName().startsWith(PACKAGE);
                return ours && !usual.canCreateUsingDefault() ? new Unmade(bean.getBeanClass()) : usual;
            }
        });
    }

    /** Names in JSON that no change of case makes of a property's. */
    static final class Aliases extends JacksonAnnotationIntrospector {
        private static final long serialVersionUID = 1;

        @Override
        public List<PropertyName> findPropertyAliases(Annotated annotated) {
            String name = annotated.getName();
            if ("setDetailType".equals(name) || "detailType".equals(name)) {
                return Collections.singletonList(PropertyName.construct("detail-type"));
            }
            return super.findPropertyAliases(annotated);
        }
    }

    private static final class Seconds extends StdDeserializer<Date> {
        private static final long serialVersionUID = 1;

        Seconds() {
            super(Date.class);
        }

        @Override
        public Date deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            if (!parser.currentToken().isNumeric()) return _parseDate(parser, context);
            return new Date(Math.round(parser.getDoubleValue() * 1000));
        }
    }

    private static final class Joda extends StdDeserializer<Object> {
        private static final long serialVersionUID = 1;

        Joda(Class<?> type) {
            super(type);
        }

        @Override
        public Object deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            boolean text = parser.currentToken() == JsonToken.VALUE_STRING;
            try {
                return handledType().getConstructor(Object.class).newInstance(text ? parser.getText() : (Object) parser.getLongValue());
            } catch (ReflectiveOperationException e) {
                return context.handleInstantiationProblem(handledType(), parser.getText(), e);
            }
        }
    }

    /** Made without a constructor; its fields are set. */
    private static final class Unmade extends ValueInstantiator.Base {
        private final Constructor<?> constructor;

        Unmade(Class<?> type) {
            super(type);
            try {
                constructor = ReflectionFactory.getReflectionFactory()
                    .newConstructorForSerialization(type, Object.class.getDeclaredConstructor());
            } catch (NoSuchMethodException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public boolean canCreateUsingDefault() {
            return true;
        }

        @Override
        public Object createUsingDefault(DeserializationContext context) throws IOException {
            try {
                return constructor.newInstance();
            } catch (ReflectiveOperationException e) {
                return context.handleInstantiationProblem(getValueClass(), null, e);
            }
        }
    }
}
