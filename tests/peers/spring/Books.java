// The bookkeeping API on Spring Boot, as far as it refuses, for capture.mjs: `java -cp JARS Books.java`.
//
// POST /claims         one expense claim
// POST /claims/batch   {"items": [claim, …]}
// POST /plain/claims   one expense claim, by Spring and its server without Spring Boot
//
// Binding, validation and the bodies are the frameworks': BasicErrorController and DefaultErrorAttributes are Spring
// Boot's, put together here as its autoconfiguration does. Members and complaints are sorted, and the time is always the
// same: by themselves they are others each time.

import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import java.io.File;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.util.Comparator;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.validation.Valid;
import javax.validation.constraints.DecimalMin;
import javax.validation.constraints.NotNull;
import javax.validation.constraints.Pattern;
import javax.validation.constraints.Size;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.ErrorPage;
import org.springframework.beans.MutablePropertyValues;
import org.springframework.boot.autoconfigure.web.ErrorProperties;
import org.springframework.boot.autoconfigure.web.servlet.error.BasicErrorController;
import org.springframework.boot.web.servlet.error.DefaultErrorAttributes;
import org.springframework.http.converter.json.Jackson2ObjectMapperBuilder;
import org.springframework.http.converter.json.MappingJackson2HttpMessageConverter;
import org.springframework.util.FileSystemUtils;
import org.springframework.validation.Errors;
import org.springframework.validation.Validator;
import org.springframework.validation.beanvalidation.LocalValidatorFactoryBean;
import org.springframework.web.bind.WebDataBinder;
import org.springframework.web.bind.annotation.InitBinder;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.bind.support.ConfigurableWebBindingInitializer;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.context.support.StaticWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerAdapter;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;
import org.springframework.web.servlet.mvc.support.DefaultHandlerExceptionResolver;

public class Books {
    public static class Line {
        @NotNull
        @Pattern(regexp = "5000|5100|6700|7140|7320")
        public String account;

        @NotNull
        public BigDecimal amount;

        public String getAccount() {
            return account;
        }

        public BigDecimal getAmount() {
            return amount;
        }
    }

    @JsonNaming(PropertyNamingStrategies.SnakeCaseStrategy.class)
    public static class Claim {
        @NotNull
        @Size(max = 40)
        public String claimNumber;

        @NotNull
        @Pattern(regexp = "1000|1010|2000|2010|3000")
        public String costCenter;

        @NotNull
        @DecimalMin(value = "0", inclusive = false)
        public BigDecimal amount;

        @NotNull
        @Pattern(regexp = "[0-9]{4}-(0[1-9]|1[0-2])")
        public String period;

        @Valid
        public List<Line> lines;

        public String getClaimNumber() {
            return claimNumber;
        }

        public String getCostCenter() {
            return costCenter;
        }

        public BigDecimal getAmount() {
            return amount;
        }

        public String getPeriod() {
            return period;
        }

        public List<Line> getLines() {
            return lines;
        }
    }

    public static class Batch {
        @Valid
        public List<Claim> items;

        public List<Claim> getItems() {
            return items;
        }
    }

    /** What no annotation says. */
    static class Bookkeeping implements Validator {
        @Override
        public boolean supports(Class<?> type) {
            return type == Claim.class;
        }

        @Override
        public void validate(Object target, Errors errors) {
            Claim claim = (Claim) target;
            if (Set.of("2025-12", "2026-01").contains(claim.period)) {
                errors.rejectValue("period", "closed", "Accounting period " + claim.period + " is closed");
            }
            if (errors.hasErrors()) {
                return;
            }
            BigDecimal sum = claim.lines.stream().map(Line::getAmount).reduce(BigDecimal.ZERO, BigDecimal::add);
            if (sum.compareTo(claim.amount) != 0) {
                errors.reject("sum", "The lines do not add up to the amount.");
            }
        }
    }

    @RestController
    public static class Claims {
        @InitBinder("claim")
        public void bookkeeping(WebDataBinder binder) {
            binder.addValidators(new Bookkeeping());
        }

        @PostMapping("/claims")
        public void create(@RequestBody @Valid Claim claim) {}

        @PostMapping("/claims/batch")
        public void batch(@RequestBody @Valid Batch batch) {}
    }

    /** The same of the same each time. */
    static class Attributes extends DefaultErrorAttributes {
        @Override
        public Map<String, Object> getErrorAttributes(WebRequest request, boolean withTrace) {
            Map<String, Object> attributes = super.getErrorAttributes(request, withTrace);
            attributes.put("timestamp", new Date(0));
            Comparator<Object> order = Comparator.comparing(Object::toString);
            attributes.computeIfPresent("errors", (name, errors) -> ((List<?>) errors).stream().sorted(order).toList());
            return attributes;
        }
    }

    /** What answers at `path` of a server, with Spring Boot or without. */
    static void serve(Tomcat tomcat, String path, boolean boot) {
        LocalValidatorFactoryBean validator = new LocalValidatorFactoryBean();
        validator.afterPropertiesSet();
        ConfigurableWebBindingInitializer binding = new ConfigurableWebBindingInitializer();
        binding.setValidator(validator);
        Jackson2ObjectMapperBuilder builder = Jackson2ObjectMapperBuilder.json();
        ObjectMapper mapper = builder.featuresToEnable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
                .featuresToDisable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
                .build();
        List<?> converters = List.of(new MappingJackson2HttpMessageConverter(mapper));
        MutablePropertyValues json = new MutablePropertyValues().add("messageConverters", converters);

        StaticWebApplicationContext context = new StaticWebApplicationContext();
        context.registerSingleton("claims", Claims.class);
        context.registerSingleton("mapping", RequestMappingHandlerMapping.class);
        MutablePropertyValues adapter = new MutablePropertyValues(json).add("webBindingInitializer", binding);
        context.registerSingleton("adapter", RequestMappingHandlerAdapter.class, adapter);
        context.registerSingleton("unhandled", DefaultHandlerExceptionResolver.class);
        Context application = tomcat.addContext(path, tomcat.getServer().getCatalinaBase().getPath());
        if (boot) {
            Attributes attributes = new Attributes();
            context.getBeanFactory().registerSingleton("attributes", attributes);
            BasicErrorController errors = new BasicErrorController(attributes, new ErrorProperties());
            context.getBeanFactory().registerSingleton("errors", errors);
            ErrorPage page = new ErrorPage();
            page.setLocation("/error");
            application.addErrorPage(page);
        }
        Tomcat.addServlet(application, "spring", new DispatcherServlet(context));
        application.addServletMappingDecoded("/", "spring");
    }

    public static void main(String[] arguments) throws Exception {
        Logger.getLogger("").setLevel(Level.SEVERE);
        File folder = Files.createTempDirectory("spring-books").toFile();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> FileSystemUtils.deleteRecursively(folder)));
        Tomcat tomcat = new Tomcat();
        tomcat.setSilent(true);
        tomcat.setBaseDir(folder.getPath());
        tomcat.setPort(0);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        serve(tomcat, "", true);
        serve(tomcat, "/plain", false);
        tomcat.start();
        System.out.println("ready http://127.0.0.1:" + tomcat.getConnector().getLocalPort());
        tomcat.getServer().await();
    }
}
